"""A Redis that is reached over TCP, with the driver's traps fenced in this one place.

Seen: redis-py 8 times a blocking read out after 5 s, which is how long a worker blocks (so the
time is set here, longer than any wait, and a URL cannot shorten it); ``?family=0``, Railway's
advice for Node, makes it raise TypeError; a wrong password is a ConnectionError to it. TLS by
``rediss://``, with ``?ssl_ca_certs=`` for a certificate of one's own; IPv6 addresses in brackets.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from redis import Redis as SyncRedis
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, AuthorizationError, ResponseError
from redis.exceptions import RedisError as DriverError

from shared.errors import ConfigError, RedisRefusedError, RedisUnreachableError

SCHEMES = ("redis", "rediss")
# For ioredis (redis-py asks the system by itself), or set below for good reasons.
NOT_OURS = ("family", "socket_timeout", "decode_responses")
READ_TIMEOUT_S = 30.0
CONNECT_TIMEOUT_S = 5.0
PING_AFTER_S = 15
KEEPS_ALL = "noeviction"
REFUSED_FIX = "Check the user and the password in REDIS_URL, and that its memory is not full."
UNREACHABLE_FIX = "Check REDIS_URL and that the server runs, then try again."


class Eviction(NamedTuple):
    """What a full Redis does; one that throws keys away loses jobs, and locks of jobs at work."""

    policy: str
    keeps_all: bool


def connect(url: str) -> Redis:
    """A client that connects with its first call, and again after an error.

    Raises:
        ConfigError: This is no URL of a Redis.
    """
    try:
        client = Redis.from_url(
            cleaned(url),
            decode_responses=True,
            socket_timeout=READ_TIMEOUT_S,
            socket_connect_timeout=CONNECT_TIMEOUT_S,
            socket_keepalive=True,
            health_check_interval=PING_AFTER_S,
        )
        # Opens nothing; takes or refuses the options.
        client.connection_pool.make_connection()  # type: ignore[no-untyped-call]
    except (TypeError, ValueError) as exc:
        detail = "REDIS_URL has an option, or a value of one, that is not known here"
        raise ConfigError(detail, fix="Take what follows the ? out of REDIS_URL.") from exc
    return client


def eviction_policy(url: str) -> Eviction:
    """What this Redis does when its memory is full, for the doctor.

    Asked of INFO, since hosters forbid CONFIG.

    Raises:
        ConfigError: This is no URL of a Redis.
        RedisError: It gave no usable answer.
    """
    connect(url)  # for its checks only
    with (
        driver_errors(),
        SyncRedis.from_url(
            cleaned(url),
            decode_responses=True,
            socket_timeout=CONNECT_TIMEOUT_S,
            socket_connect_timeout=CONNECT_TIMEOUT_S,
        ) as client,
    ):
        told = client.info("memory")
    policy = str(told.get("maxmemory_policy", "unknown")) if isinstance(told, dict) else "unknown"
    return Eviction(policy, policy == KEEPS_ALL)


@contextmanager
def driver_errors() -> Iterator[None]:
    """The one place where the driver's errors become ours."""
    try:
        yield
    except (ResponseError, AuthenticationError, AuthorizationError) as exc:
        detail = f"Redis refused: {exc}"
        raise RedisRefusedError(detail, fix=REFUSED_FIX) from exc
    except (DriverError, OSError) as exc:
        detail = f"Redis cannot be reached ({type(exc).__name__})"
        raise RedisUnreachableError(detail, fix=UNREACHABLE_FIX) from exc


def cleaned(url: str) -> str:
    """The URL without what only other clients understand."""
    try:
        parts = urlsplit(url)
        fits = parts.scheme in SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fits = False
    if not fits:
        detail = "REDIS_URL is no URL of a Redis"  # without it: it holds a password
        fix = "Set REDIS_URL to redis://.. or rediss://.., as the Redis service shows it."
        raise ConfigError(detail, fix=fix)
    query = [(name, value) for name, value in parse_qsl(parts.query) if name not in NOT_OURS]
    return urlunsplit(parts._replace(query=urlencode(query)))
