"""A page of an address's history over all its chains: newest first, each row once, in order.

Each stream is read from its own position and the streams are merged here. The cursor remembers a
position for every stream that had rows when paging began: what arrives on top meanwhile stays out.
"""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection, Engine

from schema.queries import asset, history
from schema.queries.history import (
    MAX_INT64,
    MIN_INT64,
    Direction,
    MovementFilter,
    MovementView,
    Window,
)
from schema.types import MovementKind
from shared.address import checksum_address
from shared.errors import InvalidCursorError
from shared.portfolio import cursor as cursors
from shared.portfolio.cursor import Position
from shared.portfolio.live import read_live
from shared.sources.registry import chain_info

GENESIS_HASH_BYTES = 20
KIND_NAMES = {kind.value: kind.name.lower() for kind in MovementKind}


class AssetChoice(NamedTuple):
    """One asset: without ``contract`` the native coin, without ``token_id`` all of a contract."""

    contract: bytes | None
    token_id: int | None = None


@dataclass(frozen=True, slots=True)
class HistoryFilter:
    """What is wanted; None asks nothing. ``since`` is included, ``until`` is not."""

    chain_id: int | None = None
    asset: AssetChoice | None = None
    kind: MovementKind | None = None
    direction: Direction | None = None
    since: datetime | None = None
    until: datetime | None = None


class HistoryLine(msgspec.Struct, frozen=True):
    """One signed change of one asset, negative when sent; amounts are decimal texts.

    ``tx_hash`` is null where there is no transaction (withdrawals), ``GENESIS_..`` in block 0.
    ``direction`` is null for an amount of zero.
    """

    chain_id: int
    block: int
    at: datetime
    tx_hash: str | None
    kind: str
    direction: Direction | None
    counterparty: str | None
    contract: str | None
    symbol: str | None
    decimals: int | None
    token_id: str | None
    amount_raw: str


class HistoryPage(msgspec.Struct, frozen=True):
    """Some lines, and the cursor to the next ones; null at the end."""

    items: list[HistoryLine]
    next_cursor: str | None


def history_page(
    engine: Engine,
    *,
    address_id: int,
    chain_ids: Collection[int],
    wanted: HistoryFilter,
    limit: int,
    cursor: str | None,
) -> HistoryPage:
    """The next ``limit`` movements of an address on some chains.

    Raises:
        InvalidCursorError: The cursor belongs to other filters or another wallet, was altered, or
            points into streams that were replaced since.
    """
    scope = repr((address_id, sorted(asdict(wanted).items(), key=lambda item: item[0])))
    chosen = [c for c in chain_ids if wanted.chain_id in {None, c}]

    def read(connection: Connection, chain_of: Mapping[int, int]) -> HistoryPage:
        positions = None if cursor is None else _resumed(cursor, scope, chain_of)
        windows, conditions = _windows(connection, chain_of, positions, wanted)
        rows = history.newest(connection, windows, conditions, chain_of=chain_of, most=limit + 1)
        shown, following = rows[:limit], {}
        if len(rows) > limit:
            following = _following(windows, shown)
        return HistoryPage(
            items=[_line(row, chain_of[row.stream_id]) for row in shown],
            next_cursor=cursors.encode(following, scope) if following else None,
        )

    return read_live(engine, address_id, chosen, read)


def _resumed(cursor: str, scope: str, chain_of: Mapping[int, int]) -> dict[int, Position]:
    """The positions of a cursor, all in streams that may be read here."""
    positions = cursors.decode(cursor, scope)
    if not positions.keys() <= chain_of.keys():
        detail = "this history was read again from another source since the cursor was handed out"
        raise InvalidCursorError(detail, fix="Start again without a cursor.")
    return positions


def _windows(
    connection: Connection,
    chain_of: Mapping[int, int],
    positions: Mapping[int, Position] | None,
    wanted: HistoryFilter,
) -> tuple[list[Window], MovementFilter]:
    """What to read of which stream: from its position down to where the time filter begins."""
    stream_ids = list(chain_of if positions is None else positions)
    asset_ids = None
    if wanted.asset is not None:
        held = asset.held_assets(connection, stream_ids, **wanted.asset._asdict())
        stream_ids = [stream_id for stream_id in stream_ids if stream_id in held]
        asset_ids = {asset_id for ids in held.values() for asset_id in ids}
    lows = _bounds(connection, stream_ids, wanted.since)
    starts = _starts(connection, stream_ids, wanted.until) if positions is None else positions
    windows = [
        Window(stream_id, *starts[stream_id], lo_block=lows.get(stream_id, 0))
        for stream_id in stream_ids
        if stream_id in starts
    ]
    kind = None if wanted.kind is None else int(wanted.kind)
    return windows, MovementFilter(asset_ids, kind, wanted.direction)


def _starts(
    connection: Connection, stream_ids: list[int], until: datetime | None
) -> dict[int, Position]:
    """Just above the newest row of each stream that has one: what arrives on top stays out."""
    if until is not None:
        highs = history.first_blocks(connection, stream_ids, until)
        return {stream_id: Position(block, MIN_INT64) for stream_id, block in highs.items()}
    tops = history.tops(connection, stream_ids)
    return {stream_id: _just_above(*top) for stream_id, top in tops.items()}


def _bounds(
    connection: Connection, stream_ids: list[int], moment: datetime | None
) -> dict[int, int]:
    """Per stream, the first block at or after a moment; nothing for no moment."""
    return {} if moment is None else history.first_blocks(connection, stream_ids, moment)


def _following(windows: list[Window], shown: list[MovementView]) -> dict[int, Position]:
    """Where the next page goes on in each stream."""
    last = {row.stream_id: Position(row.block, row.pos) for row in shown}
    return {
        window.stream_id: last.get(window.stream_id, Position(window.block, window.pos))
        for window in windows
    }


def _just_above(block: int, pos: int) -> Position:
    """The lowest exclusive position that still includes a row."""
    if pos == MAX_INT64:
        return Position(block + 1, MIN_INT64)
    return Position(block, pos + 1)


def _line(row: MovementView, chain_id: int) -> HistoryLine:
    chain = chain_info(chain_id)
    native = row.contract is None
    direction: Direction | None = None if row.amount == "0" else "in"
    return HistoryLine(
        chain_id=chain_id,
        block=row.block,
        at=row.at.astimezone(UTC),
        tx_hash=_shown_hash(row.tx_hash),
        kind=KIND_NAMES.get(row.kind, "unknown"),
        direction="out" if row.amount.startswith("-") else direction,
        counterparty=None if row.counterparty is None else checksum_address(row.counterparty),
        contract=None if row.contract is None else checksum_address(row.contract),
        symbol=chain.native_symbol if native else row.symbol,
        decimals=chain.decimals if native else row.decimals,
        token_id=row.token_id,
        amount_raw=row.amount,
    )


def _shown_hash(tx_hash: bytes) -> str | None:
    """As explorers write it; genesis rows carry the account they credit instead of a hash."""
    if not tx_hash:
        return None
    return ("GENESIS_" if len(tx_hash) == GENESIS_HASH_BYTES else "0x") + tx_hash.hex()
