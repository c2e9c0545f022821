"""A Redis over TCP: what a URL may say, TLS, IPv6, and what a full one does."""

import asyncio
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from redis import Redis

from shared.errors import ConfigError, RedisRefusedError, RedisUnreachableError
from shared.queue.base import Done, WakeUp
from shared.queue.bullmq import BullmqQueue
from shared.redis import READ_TIMEOUT_S, Eviction, connect, eviction_policy
from tests.contract.queue_redis import OwnRedis, own_redis

NOBODY = "redis://127.0.0.1:9"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://host:6379",
        "redis://",
        "redis://host:port",
        "redis://host:0",
        "redis://[::1",
        "redis://host/0?surprise=1",
        "redis://host/0?health_check_interval=often",
        "redis://host/0?ssl_ca_certs=/there",  # TLS is asked for by rediss://
    ],
)
def test_what_is_no_url_of_a_redis_is_said_without_the_password(url: str) -> None:
    with pytest.raises(ConfigError, match="REDIS_URL") as caught:
        connect(url.replace("host", "user:secret@host"))

    assert "secret" not in str(caught.value)
    assert "REDIS_URL" in caught.value.how_to_fix


@pytest.mark.parametrize("query", ["family=0", "family=6&socket_timeout=1", "decode_responses=no"])
def test_what_is_for_other_clients_or_would_break_a_wait_is_left_out(query: str) -> None:
    client = connect(f"redis://host:6379/2?{query}&client_name=us")

    told = client.connection_pool.connection_kwargs
    assert told["socket_timeout"] == READ_TIMEOUT_S
    assert told["decode_responses"] is True
    assert (told["db"], told["client_name"]) == (2, "us")
    assert "family" not in told


def test_railway_s_advice_for_node_does_no_harm(redis: OwnRedis) -> None:
    assert looks(f"{redis.url}?family=0") == [7]


def test_ipv6_address_in_brackets(redis: OwnRedis) -> None:
    if not has_ipv6():
        pytest.skip("no IPv6 on this machine")
    assert looks(f"redis://[::1]:{redis.port}/0") == [7]


def test_tls_with_a_certificate_of_one_s_own(redis: OwnRedis, tmp_path: Path) -> None:
    with tls_before(redis.port, tmp_path) as (port, certificate):
        assert looks(f"rediss://localhost:{port}/0?ssl_ca_certs={certificate}") == [7]
        assert eviction_policy(f"rediss://localhost:{port}/0?ssl_ca_certs={certificate}").keeps_all


def test_tls_with_a_certificate_that_nobody_vouches_for_is_refused(
    redis: OwnRedis, tmp_path: Path
) -> None:
    with tls_before(redis.port, tmp_path) as (port, _), pytest.raises(RedisUnreachableError):
        looks(f"rediss://localhost:{port}/0")


def test_eviction_policy_is_told(redis: OwnRedis) -> None:
    assert eviction_policy(redis.url) == Eviction("noeviction", keeps_all=True)

    with Redis.from_url(redis.url) as admin:
        admin.config_set("maxmemory-policy", "allkeys-lru")

    assert eviction_policy(f"{redis.url}?family=0") == Eviction("allkeys-lru", keeps_all=False)


def test_eviction_policy_of_nobody_is_an_error_of_ours() -> None:
    with pytest.raises(RedisUnreachableError, match="ConnectionError"):
        eviction_policy(NOBODY)
    with pytest.raises(ConfigError):
        eviction_policy("postgres://host")


def test_wrong_password_is_refused_and_not_unreachable(redis: OwnRedis) -> None:
    with Redis.from_url(redis.url) as admin:
        admin.config_set("requirepass", "right")

    for url in (redis.url, redis.url.replace("//", "//:wrong@")):
        with pytest.raises(RedisRefusedError) as caught:
            looks(url)
        assert "REDIS_URL" in caught.value.how_to_fix
        assert "wrong" not in str(caught.value)
        with pytest.raises(RedisRefusedError):
            eviction_policy(url)
    assert looks(redis.url.replace("//", "//:right@")) == [7]


def test_full_redis_refuses(redis: OwnRedis) -> None:
    with Redis.from_url(redis.url) as admin:
        admin.config_set("maxmemory", "1")

    with pytest.raises(RedisRefusedError, match=r"OOM|maxmemory"):
        looks(redis.url)


def looks(url: str) -> list[int]:
    """Push one, take one."""
    with closing(BullmqQueue(url)) as queue:
        queue.push(WakeUp(7))
        claim = queue.claim(60.0)
        assert claim is not None
        queue.finish(claim, Done())
        queue.wait(0.05)
        return [claim.wake_up.stream_id]


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@contextmanager
def tls_before(port: int, folder: Path) -> Iterator[tuple[int, Path]]:
    """A port that speaks TLS and hands on to ``port``, and its certificate."""
    certificate, key = self_made(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    loop = asyncio.new_event_loop()

    async def hand_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        redis_reader, redis_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(copied(reader, redis_writer), copied(redis_reader, writer))

    server = loop.run_until_complete(asyncio.start_server(hand_on, "localhost", 0, ssl=context))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield server.sockets[0].getsockname()[1], certificate
    finally:
        loop.call_soon_threadsafe(server.close)
        asyncio.run_coroutine_threadsafe(ended(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


async def copied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError, ssl.SSLError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    with suppress(OSError, ssl.SSLError):
        writer.close()
        await writer.wait_closed()


async def ended() -> None:
    """Wait for whoever still hands on."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    await asyncio.wait_for(asyncio.gather(*others, return_exceptions=True), 10)


def self_made(folder: Path) -> tuple[Path, Path]:
    """A certificate for localhost, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)  # noqa: TID251 - TLS asks the real clock
    names = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, secret = folder / "certificate.pem", folder / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate, secret


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[OwnRedis]:
    with own_redis(tmp_path, "--appendonly", "no") as server:
        yield server
