"""The paging cursors: of a history one exclusive position per stream, of balances one place.

It holds no secret and grants nothing (streams of others are refused when it is used); the seal
catches a cursor that was cut, altered, or belongs to another list, wallet or filter.
"""

import base64
import binascii
from collections.abc import Mapping
from hashlib import blake2b
from typing import NamedTuple, TypeVar

import msgspec

from schema.queries.balance import Place
from schema.queries.history import MAX_INT64, MIN_INT64
from shared.errors import InvalidCursorError

VERSION = 1
SEAL_BYTES = 8
MOST_TOKEN_BYTES = 33  # of 78 digits


class Position(NamedTuple):
    """Everything before this block and place is still to come."""

    block: int
    pos: int


class _Body(msgspec.Struct, array_like=True):
    version: int
    positions: list[tuple[int, int, int]]


class _PlaceBody(msgspec.Struct, array_like=True):
    version: int
    chain_id: int
    contract: bytes
    token_id: bytes | None


B = TypeVar("B", _Body, _PlaceBody)


def encode_place(place: Place, scope: str) -> str:
    """The opaque text for the place of an asset within ``scope``."""
    token_id = None if place.token_id < 0 else place.token_id.to_bytes(MOST_TOKEN_BYTES)
    return _sealed(_PlaceBody(VERSION, place.chain_id, place.contract, token_id), scope)


def decode_place(text: str, scope: str) -> Place:
    """The place in a cursor.

    Raises:
        InvalidCursorError: It was not handed out for this ``scope``, or has been changed.
    """
    body = _unsealed(text, scope, _PlaceBody)
    if not MIN_INT64 <= body.chain_id <= MAX_INT64 or len(body.token_id or b"") > MOST_TOKEN_BYTES:
        raise _refused()
    token_id = -1 if body.token_id is None else int.from_bytes(body.token_id)
    return Place(body.chain_id, body.contract, token_id)


def encode(positions: Mapping[int, Position], scope: str) -> str:
    """The opaque text for a set of positions within ``scope``."""
    triples = [(stream_id, *position) for stream_id, position in sorted(positions.items())]
    return _sealed(_Body(VERSION, triples), scope)


def decode(text: str, scope: str) -> dict[int, Position]:
    """The positions in a cursor.

    Raises:
        InvalidCursorError: It was not handed out for this ``scope``, or has been changed.
    """
    body = _unsealed(text, scope, _Body)
    numbers = [number for triple in body.positions for number in triple]
    if not all(MIN_INT64 <= number <= MAX_INT64 for number in numbers):
        raise _refused()
    return {stream_id: Position(block, pos) for stream_id, block, pos in body.positions}


def _sealed(body: B, scope: str) -> str:
    raw = msgspec.msgpack.encode(body)
    return _text(_seal(raw, scope) + raw)


def _unsealed(text: str, scope: str, kind: type[B]) -> B:
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        body = msgspec.msgpack.decode(raw[SEAL_BYTES:], type=kind)
    except (binascii.Error, ValueError, msgspec.MsgspecError) as exc:
        raise _refused() from exc
    # Also written as we write it: base64 has several spellings of one content.
    sealed = raw[:SEAL_BYTES] == _seal(raw[SEAL_BYTES:], scope) and _text(raw) == text
    if not sealed or body.version != VERSION:
        raise _refused()
    return body


def _text(raw: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _seal(body: bytes, scope: str) -> bytes:
    """A short digest of the body within its scope."""
    return blake2b(body, digest_size=SEAL_BYTES, key=blake2b(scope.encode()).digest()).digest()


def _refused() -> InvalidCursorError:
    detail = "this cursor was not handed out for this wallet and these filters"
    return InvalidCursorError(detail, fix="Start again without a cursor.")
