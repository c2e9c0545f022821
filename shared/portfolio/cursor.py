"""The paging cursor: one exclusive position per stream, sealed against mix-ups.

It holds no secret and grants nothing (streams of others are refused when it is used); the seal
catches a cursor that was cut, altered, or belongs to another wallet or filter.
"""

import base64
import binascii
from collections.abc import Mapping
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from schema.queries.history import MAX_INT64, MIN_INT64
from shared.errors import InvalidCursorError

VERSION = 1
SEAL_BYTES = 8


class Position(NamedTuple):
    """Everything before this block and place is still to come."""

    block: int
    pos: int


class _Body(msgspec.Struct, array_like=True):
    version: int
    positions: list[tuple[int, int, int]]


def encode(positions: Mapping[int, Position], scope: str) -> str:
    """The opaque text for a set of positions within ``scope``."""
    triples = [(stream_id, *position) for stream_id, position in sorted(positions.items())]
    body = msgspec.msgpack.encode(_Body(VERSION, triples))
    return _text(_seal(body, scope) + body)


def decode(text: str, scope: str) -> dict[int, Position]:
    """The positions in a cursor.

    Raises:
        InvalidCursorError: It was not handed out for this ``scope``, or has been changed.
    """
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        body = msgspec.msgpack.decode(raw[SEAL_BYTES:], type=_Body)
    except (binascii.Error, ValueError, msgspec.MsgspecError) as exc:
        raise _refused() from exc
    # Also written as we write it: base64 has several spellings of one content.
    sealed = raw[:SEAL_BYTES] == _seal(raw[SEAL_BYTES:], scope) and _text(raw) == text
    numbers = [number for triple in body.positions for number in triple]
    fits = all(MIN_INT64 <= number <= MAX_INT64 for number in numbers)
    if not sealed or not fits or body.version != VERSION:
        raise _refused()
    return {stream_id: Position(block, pos) for stream_id, block, pos in body.positions}


def _text(raw: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _seal(body: bytes, scope: str) -> bytes:
    """A short digest of the body within its scope."""
    return blake2b(body, digest_size=SEAL_BYTES, key=blake2b(scope.encode()).digest()).digest()


def _refused() -> InvalidCursorError:
    detail = "this cursor was not handed out for this wallet and these filters"
    return InvalidCursorError(detail, fix="Start again without a cursor.")
