"""What an address holds: the sums over its live streams, exact, with what they cannot know."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import Connection, Engine

from schema.queries import balance, stream_view
from schema.queries.balance import BalanceRow
from schema.queries.stream_view import StreamView
from schema.types import StreamKind, StreamState
from shared.address import checksum_address
from shared.portfolio.live import read_live
from shared.sources.gaps import gaps_of
from shared.sources.registry import chain_info


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


def balances(
    engine: Engine, *, address_id: int, chain_ids: Collection[int], with_zeros: bool = False
) -> list[BalanceLine]:
    """The balances of an address on some chains: by chain, the native coin first."""

    def read(connection: Connection, _: object) -> tuple[list[BalanceRow], list[StreamView]]:
        return (
            balance.balance_rows(connection, address_id, chain_ids),
            stream_view.stream_views(connection, address_id, chain_ids),
        )

    rows, streams = read_live(engine, address_id, chain_ids, read)
    sums: defaultdict[int, int] = defaultdict(int)
    for row in rows:
        sums[row.asset_id] += row.amount
    assets = {row.asset_id: row for row in rows if with_zeros or sums[row.asset_id]}
    complete = {chain_id: _complete_kinds(streams, chain_id) for chain_id in chain_ids}
    return [
        _line(asset, sums[asset.asset_id], complete[asset.chain_id])
        for asset in sorted(assets.values(), key=_order)
    ]


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


def _order(asset: BalanceRow) -> tuple[int, bytes, int]:
    return asset.chain_id, asset.contract or b"", asset.token_id or 0
