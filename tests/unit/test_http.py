"""The outgoing HTTP client, against real servers on this machine."""

import gzip
import logging
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import SecretStr

from shared.clock import Deadline, SystemClock
from shared.errors import (
    DeadlineExceededError,
    SourceRateLimitedError,
    SourceUnavailableError,
)
from shared.http_client import HttpxClient, redacted
from tests.http_server import Answerer, Server, sends

KEY = "TOPSECRETKEY123"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    started = Server()
    yield started
    started.stop()


@pytest.fixture
def client() -> Iterator[HttpxClient]:
    made = HttpxClient()
    yield made
    made.close()


def within(seconds: float) -> Deadline:
    return Deadline.after(SystemClock(), seconds)


def test_whole_answer_comes_with_status_and_lower_case_headers(
    server: Server, client: HttpxClient
) -> None:
    server.answers(sends(b'{"a":1}', 404, {"X-Thing": "yes"}))

    answer = client.get(
        "x", f"{server.url}/api", params={"page": 2, "key": SecretStr(KEY)}, deadline=within(5)
    )

    assert (answer.status, answer.body, answer.headers["x-thing"]) == (404, b'{"a":1}', "yes")
    query = parse_qs(urlsplit(server.seen[0]).query)
    assert query == {"page": ["2"], "key": [KEY]}


def test_gzip_is_unpacked(server: Server, client: HttpxClient) -> None:
    server.answers(sends(gzip.compress(b"hello"), headers={"content-encoding": "gzip"}))

    assert client.get("x", server.url, params={}, deadline=within(5)).body == b"hello"
    assert server.headers[0]["accept-encoding"] == "gzip"


def test_connections_are_kept(server: Server, client: HttpxClient) -> None:
    ports = set()

    def answer(request: BaseHTTPRequestHandler) -> None:
        ports.add(request.client_address[1])
        sends(b"{}")(request)

    server.answers(answer)
    for _ in range(3):
        client.get("x", server.url, params={}, deadline=within(5))

    assert len(ports) == 1


def test_redirects_are_not_followed(server: Server, client: HttpxClient) -> None:
    server.answers(sends(b"", 302, {"location": "http://127.0.0.1:1/elsewhere"}))

    assert client.get("x", server.url, params={}, deadline=within(5)).status == 302


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, 1.0),
        ("7", 7.0),
        ("0", 1.0),
        ("2.5", 2.5),
        ("99999999", 3600.0),
        ("nonsense", 1.0),
        ("-5", 1.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 1.0),
        ("Wed, 21 Oct 2099 07:28:00 GMT", 3600.0),
    ],
)
def test_rate_limit_carries_how_long_to_wait(
    server: Server, client: HttpxClient, header: str | None, expected: float
) -> None:
    server.answers(sends(b"no", 429, {} if header is None else {"retry-after": header}))

    with pytest.raises(SourceRateLimitedError) as caught:
        client.get("x", server.url, params={}, deadline=within(5))

    assert caught.value.retry_after_s == expected


def test_no_time_left_asks_nothing(server: Server, client: HttpxClient) -> None:
    server.answers(sends(b"{}"))

    with pytest.raises(DeadlineExceededError):
        client.get("x", server.url, params={}, deadline=within(0))

    assert server.seen == []


def silent(request: BaseHTTPRequestHandler) -> None:
    request.close_connection = True
    time.sleep(3)  # noqa: TID251 - a server that does not answer


def dripping_body(request: BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.send_header("content-length", "1000")
    request.end_headers()
    drip(request, b" ")


def dripping_headers(request: BaseHTTPRequestHandler) -> None:
    request.wfile.write(b"HTTP/1.1 200 OK\r\n")
    drip(request, b"x")


def drip(request: BaseHTTPRequestHandler, piece: bytes) -> None:
    request.close_connection = True
    try:
        for _ in range(15):
            request.wfile.write(piece)
            request.wfile.flush()
            time.sleep(0.3)  # noqa: TID251 - a slow server
    except OSError:
        pass


@pytest.mark.parametrize("answer", [silent, dripping_body, dripping_headers])
def test_slow_answer_ends_with_the_deadline(
    server: Server, client: HttpxClient, answer: Answerer
) -> None:
    server.answers(answer)
    began = time.monotonic()

    with pytest.raises(SourceUnavailableError, match=r"did not answer within 0\.5 s"):
        client.get("x", server.url, params={}, deadline=within(0.5))

    assert time.monotonic() - began < 0.8


def test_connection_is_usable_after_a_timeout(server: Server, client: HttpxClient) -> None:
    server.answers(dripping_body)
    with pytest.raises(SourceUnavailableError):
        client.get("x", server.url, params={}, deadline=within(0.2))
    server.answers(sends(b"ok"))

    assert client.get("x", server.url, params={}, deadline=within(5)).body == b"ok"


def chunked_without_end(request: BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.send_header("transfer-encoding", "chunked")
    request.end_headers()
    request.wfile.write(b"5\r\nhello\r\n")
    request.close_connection = True


@pytest.mark.parametrize(
    "answer",
    [
        sends(b'{"status"', length=500),
        chunked_without_end,
        sends(b"not gzip", headers={"content-encoding": "gzip"}),
        lambda request: request.wfile.write(b"what?\r\n\r\n"),
    ],
    ids=["cut", "chunk missing", "bad gzip", "no HTTP"],
)
def test_broken_answer_is_unavailable(
    server: Server, client: HttpxClient, answer: Answerer
) -> None:
    server.answers(answer)

    with pytest.raises(SourceUnavailableError, match="could not be read"):
        client.get("x", server.url, params={}, deadline=within(5))


@pytest.mark.parametrize("headers", [{}, {"content-encoding": "gzip"}], ids=["plain", "gzip"])
def test_oversized_answer_is_refused(
    server: Server, client: HttpxClient, headers: dict[str, str]
) -> None:
    body = b"0" * 200_000
    server.answers(sends(gzip.compress(body) if headers else body, headers=headers))

    with pytest.raises(SourceUnavailableError, match="more than 1000 bytes"):
        client.get("x", server.url, params={}, deadline=within(5), max_bytes=1000)


def test_unannounced_oversize_is_refused(server: Server, client: HttpxClient) -> None:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.close_connection = True
        request.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n" + b"0" * 200_000)

    server.answers(answer)

    with pytest.raises(SourceUnavailableError, match="more than 1000 bytes"):
        client.get("x", server.url, params={}, deadline=within(5), max_bytes=1000)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/api", "ftp://127.0.0.1/", "http://[::1", ""])
def test_no_connection_is_unavailable(client: HttpxClient, url: str) -> None:
    with pytest.raises(SourceUnavailableError):
        client.get("x", url, params={}, deadline=within(5))


def test_silent_listener_ends_with_the_deadline(client: HttpxClient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        with pytest.raises(SourceUnavailableError, match="did not answer"):
            client.get("x", url, params={}, deadline=within(0.3))


def test_environment_proxy_is_used(
    server: Server, client: HttpxClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answers(sends(b"by proxy"))
    monkeypatch.setenv("HTTP_PROXY", server.url)
    monkeypatch.setenv("http_proxy", server.url)

    answer = client.get("x", "http://provider.invalid/api", params={}, deadline=within(5))

    assert answer.body == b"by proxy"
    assert server.seen == ["http://provider.invalid/api"]


def test_threads_share_the_client(server: Server, client: HttpxClient) -> None:
    server.answers(lambda request: sends(request.path.encode())(request))
    bodies: dict[int, bytes] = {}

    def ask(number: int) -> None:
        url = f"{server.url}/{number}"
        bodies[number] = client.get("x", url, params={}, deadline=within(5)).body

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert bodies == {number: f"/{number}".encode() for number in range(12)}


@pytest.mark.parametrize(
    "answer",
    [sends(b"ok"), sends(b"", 429), sends(b"x", length=9), dripping_body],
    ids=["good", "429", "cut", "slow"],
)
def test_key_is_in_no_log_error_or_repr(
    server: Server, client: HttpxClient, answer: Answerer, caplog: pytest.LogCaptureFixture
) -> None:
    server.answers(answer)
    caplog.set_level(logging.DEBUG)
    params = {"apikey": SecretStr(KEY)}
    said = ""
    try:
        url = f"{server.url.replace('//', '//user:word@')}/v2/{KEY}/api"
        client.get("x", url, params=params, deadline=within(0.5))
    except (SourceUnavailableError, SourceRateLimitedError) as exc:
        said = f"{exc!r} {exc.detail} {exc.__cause__!r} {exc.__context__!r}"

    assert KEY in server.seen[0]
    assert KEY not in said
    assert "word" not in said
    assert "apikey" not in said
    assert KEY not in caplog.text
    assert KEY not in repr(client)


def test_long_path_segments_are_taken_for_keys() -> None:
    url = "https://me:pw@rpc.example:8/v2/Abc123Abc123Abc123Abc123/x?apikey=1"

    assert redacted(url, {}) == "https://rpc.example:8/v2/***/x"
