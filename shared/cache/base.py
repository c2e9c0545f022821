"""What every cache promises, and how its entries are named and written."""

import logging
from collections.abc import Hashable
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import msgspec

from shared.seams import Rng

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

MOST_BYTES = 256 * 1024
JITTER = 0.1
SHORTEST_TTL_S = 0.001

log = logging.getLogger(__name__)


class Hit(NamedTuple, Generic[T]):
    """What was put. ``value`` None is an answer too: it was looked for, and there is none."""

    value: T | None


class Key(NamedTuple):
    """The name of an entry: what kind it is, the version of that kind's shape, and which one.

    Raise ``version`` with every change of what is stored: a new release then never reads what an
    old one wrote, though both run at once. Whatever makes an entry wrong belongs into ``which``.
    """

    space: str
    version: int
    which: tuple[Hashable, ...]

    @property
    def name(self) -> str:
        """The key as one text; parts that hold a slash stay apart from their neighbours."""
        parts = (str(part).replace("%", "%25").replace("/", "%2F") for part in self.which)
        return "/".join((self.space, str(self.version), *parts))


class Cache(Protocol):
    """Keeps JSON values for a while; may forget any of them at any time.

    No method raises because of the cache itself: one that cannot be reached misses, and keeps
    nothing. Values are what msgspec can write as JSON, up to ``MOST_BYTES`` of it; a larger one is
    not kept, and that is logged. An entry lives for its ``ttl_s``, give or take a tenth, so that
    what was put together does not end together. Every call may be made twice with one outcome.
    """

    is_near: bool  # in this process: asking it costs next to nothing

    def get(self, key: Key, shape: type[T]) -> Hit[T] | None:
        """What was put under ``key``, read as ``shape``; None is a miss.

        An entry of another shape is a miss.
        """
        ...

    def put(self, key: Key, value: object, ttl_s: float) -> None:
        """Keep ``value``; None says that there is nothing, for callers to come."""
        ...

    def drop(self, key: Key) -> None:
        """Forget an entry, and who reserved it."""
        ...

    def reserve(self, key: Key, seconds: float) -> bool:
        """Whether the caller is the one to fill ``key``, among all processes; ends by itself.

        A cache that cannot be reached, or that no other process sees, says yes to everybody.
        """
        ...

    def release(self, key: Key) -> None:
        """Let somebody else fill ``key``: we failed."""
        ...

    def close(self) -> None:
        """Give back its connections."""
        ...


def encoded(key: Key, value: object) -> bytes | None:
    """The value as it is kept; None when it is too large."""
    body = msgspec.json.encode(value)
    if len(body) > MOST_BYTES:
        log.warning("too large for the cache", extra={"space": key.space, "bytes": len(body)})
        return None
    return body


def decoded(body: bytes | str, shape: type[T]) -> Hit[T] | None:
    """The value as it was put; None when it is no such value."""
    wanted: Any = shape | None
    try:
        return Hit(msgspec.json.decode(body, type=wanted))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def jittered(ttl_s: float, rng: Rng) -> float:
    """The time give or take a tenth; above zero."""
    return max(SHORTEST_TTL_S, ttl_s * (1 - JITTER + 2 * JITTER * rng.random()))
