"""What an address holds: the sums over its live streams, exact, with what they cannot know."""

from collections.abc import Collection, Sequence
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection, Engine

from schema.queries import balance, stream_view
from schema.queries.balance import FIRST, MOST, BalanceRow, Place
from schema.queries.stream_view import StreamView
from schema.types import StreamKind, StreamState
from shared.address import checksum_address
from shared.portfolio import cursor as cursors
from shared.portfolio.live import read_live
from shared.sources.gaps import gaps_of
from shared.sources.registry import chain_info

MORE_ROWS = 32  # an asset has one of each stream that moves it: six kinds of them at most


class BalanceLine(msgspec.Struct, frozen=True):
    """One asset of one chain; ``contract`` is null for the native coin, amounts are decimal texts.

    ``gaps`` names what the feeds cannot know of it; empty when the sum is the whole truth. Price
    (of one whole coin), value and their kin are in US dollars, and null where there is no price.
    """

    chain_id: int
    contract: str | None
    symbol: str | None
    name: str | None
    decimals: int | None
    token_id: str | None
    amount_raw: str
    gaps: list[str]
    price: str | None = None
    value: str | None = None
    price_at: datetime | None = None
    stale: bool | None = None


class BalancePage(msgspec.Struct, frozen=True):
    """Some lines, and the cursor to the next ones; null at the end."""

    items: list[BalanceLine]
    next_cursor: str | None


class _Wanted(NamedTuple):
    """What is asked for: ``most`` assets behind a place."""

    address_id: int
    chain_ids: Collection[int]
    with_zeros: bool
    after: Place = FIRST
    most: int = MOST


class _Holding(NamedTuple):
    """An asset with its sum."""

    asset: BalanceRow
    amount: int


def balances(
    engine: Engine, *, address_id: int, chain_ids: Collection[int], with_zeros: bool = False
) -> list[BalanceLine]:
    """All balances of an address on some chains: by chain, the native coin first."""
    lines, _ = _lines(engine, _Wanted(address_id, chain_ids, with_zeros))
    return lines


def balance_page(
    engine: Engine,
    *,
    address_id: int,
    chain_ids: Collection[int],
    with_zeros: bool = False,
    limit: int,
    cursor: str | None,
) -> BalancePage:
    """The next ``limit`` balances of an address, in the same order, of one generation.

    An asset's place never changes: whatever comes, goes or moves between two pages, each asset is
    told once at most, and one that is held all along is told.

    Raises:
        InvalidCursorError: The cursor belongs to another list, or was altered.
    """
    scope = repr(("balances", address_id, sorted(chain_ids), with_zeros))
    after = FIRST if cursor is None else cursors.decode_place(cursor, scope)
    wanted = _Wanted(address_id, chain_ids, with_zeros, after, limit + 1)
    lines, places = _lines(engine, wanted)
    following = cursors.encode_place(places[limit - 1], scope) if len(lines) > limit else None
    return BalancePage(lines[:limit], following)


def _lines(engine: Engine, wanted: _Wanted) -> tuple[list[BalanceLine], list[Place]]:
    """What is wanted, each line with its place."""

    def read(connection: Connection, _: object) -> tuple[list[_Holding], list[StreamView]]:
        return (
            _holdings(connection, wanted),
            stream_view.stream_views(connection, wanted.address_id, wanted.chain_ids),
        )

    held, streams = read_live(engine, wanted.address_id, wanted.chain_ids, read)
    complete = {chain_id: _complete_kinds(streams, chain_id) for chain_id in wanted.chain_ids}
    lines = [_line(asset, amount, complete[asset.chain_id]) for asset, amount in held]
    return lines, [asset.place for asset, _ in held]


def _holdings(connection: Connection, wanted: _Wanted) -> list[_Holding]:
    """Sums over streams. One of several rows may be nothing, so reading goes on until all are."""
    found: list[_Holding] = []
    after = wanted.after
    while True:
        most = min(wanted.most - len(found) + MORE_ROWS, MOST)
        rows = balance.balance_rows(
            connection,
            wanted.address_id,
            wanted.chain_ids,
            with_zeros=wanted.with_zeros,
            after=after,
            most=most,
        )
        assets = [list(group) for _, group in groupby(rows, key=attrgetter("asset_id"))]
        is_end = len(rows) < most
        if not is_end:
            assets.pop()  # some of its rows may have been cut off
        for same in assets:
            amount = sum(row.amount for row in same)
            if amount or wanted.with_zeros:
                found.append(_Holding(same[0], amount))
        if is_end or len(found) >= wanted.most:
            return found[: wanted.most]
        after = assets[-1][0].place


def _line(asset: BalanceRow, amount: int, complete: set[str]) -> BalanceLine:
    chain = chain_info(asset.chain_id)
    native = asset.contract is None
    return BalanceLine(
        chain_id=asset.chain_id,
        contract=None if asset.contract is None else checksum_address(asset.contract),
        symbol=chain.native_symbol if native else asset.symbol,
        name=chain.native_name if native else asset.name,
        decimals=chain.decimals if native else asset.decimals,
        token_id=None if asset.token_id is None else str(asset.token_id),
        amount_raw=str(amount),
        gaps=gaps_of(
            asset.chain_id,
            asset.contract,
            # Nobody can owe the chain: a negative sum proves that something came in unseen.
            internals_complete=amount >= 0 and StreamKind.INTERNAL.value in complete,
            withdrawals_complete=StreamKind.WITHDRAWAL.value in complete,
        ),
    )


def _complete_kinds(streams: Sequence[StreamView], chain_id: int) -> set[str]:
    """The feeds of a chain that were read as far as the native one is settled, and still are."""
    here = [stream for stream in streams if stream.chain_id == chain_id]
    settled = max((s.settled_block for s in here if s.kind == StreamKind.NATIVE), default=-1)
    given_up = {StreamState.STOPPED.value, StreamState.DEAD.value}
    return {
        stream.kind
        for stream in here
        if stream.state not in given_up
        and stream.synced_block is not None
        and stream.synced_block >= settled
    }
