"""A page of an address's history over all its chains: newest first, each row once, in order.

Each stream is read from its own position and the streams are merged here. The cursor remembers a
position for every stream that had rows when paging began: what arrives on top meanwhile stays out.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection, Engine

from schema.engine import reading
from schema.queries import asset, history
from schema.queries.history import (
    MAX_INT64,
    MIN_INT64,
    Direction,
    Found,
    MovementFilter,
    MovementView,
    Subject,
    Window,
)
from schema.types import MovementKind
from shared.address import checksum_address
from shared.errors import InvalidCursorError
from shared.portfolio import cursor as cursors
from shared.portfolio.cursor import Position
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
    subject: Subject,
    *,
    wanted: HistoryFilter,
    limit: int,
    cursor: str | None,
) -> HistoryPage:
    """The next ``limit`` movements of a wallet or an address.

    Raises:
        InvalidCursorError: The cursor belongs to other filters or another wallet, was altered, or
            points into streams that were replaced since.
    """
    scope = repr((*subject, sorted(asdict(wanted).items(), key=lambda item: item[0])))
    positions = None if cursor is None else cursors.decode(cursor, scope)
    with reading(engine) as connection:
        while True:
            plan = _plan(connection, subject, positions, wanted)
            found = history.newest(
                connection, subject, plan.windows, plan.conditions, most=limit + 1
            )
            live = {stream.id for stream in found.streams}
            if positions is not None and not positions.keys() <= live:
                detail = "another source has replaced what this cursor points into (read again)"
                raise InvalidCursorError(detail, fix="Start again without a cursor.")
            if plan.streams is None or plan.streams == live:
                return _page(found, plan.windows, limit, scope)


class _Plan(NamedTuple):
    """What to read. ``streams``: those it was made for, all of which must be live; None: any."""

    windows: list[Window] | None
    conditions: MovementFilter
    streams: set[int] | None = None


def _plan(
    connection: Connection,
    subject: Subject,
    positions: Mapping[int, Position] | None,
    wanted: HistoryFilter,
) -> _Plan:
    """What to read of which stream: from its position down to where the time filter begins."""
    kind = None if wanted.kind is None else int(wanted.kind)
    conditions = MovementFilter(None, kind, wanted.direction)
    if wanted.asset is None and wanted.since is None and wanted.until is None:
        if positions is None:
            return _Plan(None, conditions)
        return _Plan(
            [Window(stream_id, *start) for stream_id, start in positions.items()], conditions
        )
    live = set(positions or history.streams_of(connection, subject))
    stream_ids = sorted(live)
    if wanted.asset is not None:
        held = asset.held_assets(connection, stream_ids, **wanted.asset._asdict())
        stream_ids = [stream_id for stream_id in stream_ids if stream_id in held]
        of_asset = {asset_id for ids in held.values() for asset_id in ids}
        conditions = conditions._replace(asset_ids=of_asset)
    lows = {}
    if wanted.since is not None:
        lows = history.first_blocks(connection, stream_ids, wanted.since)
    starts = _starts(connection, stream_ids, wanted.until) if positions is None else positions
    windows = [
        Window(stream_id, *starts[stream_id], lo_block=lows.get(stream_id, 0))
        for stream_id in stream_ids
        if stream_id in starts
    ]
    return _Plan(windows, conditions, live if positions is None else None)


def _starts(
    connection: Connection, stream_ids: list[int], until: datetime | None
) -> dict[int, Position]:
    """Just above the newest row of each stream that has one: what arrives on top stays out."""
    if until is not None:
        highs = history.first_blocks(connection, stream_ids, until)
        return {stream_id: Position(block, MIN_INT64) for stream_id, block in highs.items()}
    tops = history.tops(connection, stream_ids)
    return {stream_id: _just_above(*top) for stream_id, top in tops.items()}


def _page(found: Found, windows: list[Window] | None, limit: int, scope: str) -> HistoryPage:
    """The page as shown; the cursor remembers where each stream goes on."""
    shown, following = found.rows[:limit], None
    if len(found.rows) > limit:
        positions = _began(found, windows)
        positions |= {row.stream_id: Position(row.block, row.pos) for row in shown}
        following = cursors.encode(positions, scope)
    return HistoryPage([_line(row) for row in shown], following)


def _began(found: Found, windows: list[Window] | None) -> dict[int, Position]:
    """Where reading began in each stream that had rows."""
    if windows is not None:
        return {window.stream_id: Position(window.block, window.pos) for window in windows}
    tops = ((stream.id, stream.block, stream.pos) for stream in found.streams)
    return {
        stream_id: _just_above(block, pos)
        for stream_id, block, pos in tops
        if block is not None and pos is not None
    }


def _just_above(block: int, pos: int) -> Position:
    """The lowest exclusive position that still includes a row."""
    if pos == MAX_INT64:
        return Position(block + 1, MIN_INT64)
    return Position(block, pos + 1)


def _line(row: MovementView) -> HistoryLine:
    chain = chain_info(row.chain_id)
    native = row.contract is None
    direction: Direction | None = None if row.amount == "0" else "in"
    return HistoryLine(
        chain_id=row.chain_id,
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
