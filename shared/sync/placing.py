"""From a provider's rows to the ledger's: places in the block, and the ids of assets."""

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from operator import attrgetter

from schema.queries import asset_ids
from schema.queries.asset_ids import AssetRow, Key
from schema.queries.page import MovementRow
from schema.queries.stream import Lease
from shared.clock import Deadline
from shared.errors import SourcePayloadError
from shared.seams import UnitOfWork
from shared.sources.base import AssetRef, Row, TokenInfo
from shared.sync.assets import asset_row
from shared.sync.position import positions


class Placing:
    """What is known of assets in the course of one lease."""

    def __init__(self, unit: UnitOfWork, lease: Lease, by: Callable[[], Deadline]) -> None:
        self._unit = unit
        self._by = by
        self._lease = lease
        self._ids: dict[Key, int] = {}
        self._tokens: dict[AssetRef, TokenInfo] = {}

    def learn(self, tokens: Mapping[AssetRef, TokenInfo]) -> None:
        """Keep what an answer says of assets.

        Rows held back are written with a later answer, which need not name their assets.
        """
        self._tokens.update(tokens)

    def movements(self, rows: Sequence[Row]) -> list[MovementRow]:
        """Rows of complete blocks as ledger rows.

        Raises:
            SourcePayloadError: A block has rows of different times, or two that claim one place.
        """
        self._learn_ids(rows)
        ids, source = self._ids, self._lease.provider
        found = []
        for block, group in groupby(rows, key=attrgetter("block")):
            in_block = list(group)
            at_s = in_block[0].at_s
            if any(row.at_s != at_s for row in in_block):
                detail = f"block {block} has rows of different times"
                raise SourcePayloadError(source, detail)
            drafts = [draft for row in in_block for draft in row.drafts]
            for pos, draft in positions(source, block, drafts):
                found.append(
                    MovementRow(
                        block,
                        pos,
                        at_s,
                        ids[draft.asset],
                        int(draft.kind),
                        draft.tx_hash,
                        draft.counterparty,
                        draft.amount,
                    )
                )
        return found

    def _learn_ids(self, rows: Sequence[Row]) -> None:
        """Make sure that every asset of these rows has an id."""
        unknown = {draft.asset for row in rows for draft in row.drafts} - self._ids.keys()
        if not unknown:
            return
        wanted: dict[Key, AssetRow] = {
            asset: asset_row(self._lease.kind, asset, self._tokens.get(asset)) for asset in unknown
        }
        chain_id = self._lease.chain_id
        self._ids |= self._unit.run(
            "assets",
            lambda connection: asset_ids.asset_ids(connection, chain_id, wanted),
            by=self._by(),
        )
