"""A row store over rows that are already as served: recordings, and facts once rendered."""

from collections.abc import Collection, Mapping

from shared.emulator.dialect import number_of
from shared.emulator.store import Feed, Header, ListedRows, Rows
from shared.emulator.wire import WireRow


class ListedStore:
    """Feeds by name, the chains that each provider serves, and each chain's head."""

    def __init__(
        self,
        feeds: Mapping[Feed, list[WireRow]],
        *,
        served: Mapping[str, Collection[int]],
        heads: Mapping[int, int],
        refusals: Mapping[tuple[str, int], str] | None = None,
    ) -> None:
        self.feeds = {feed: ListedRows(rows) for feed, rows in feeds.items()}
        self._served = served
        self._heads = dict(heads)
        self._refusals = dict(refusals or {})
        self._headers: dict[tuple[int, int], Header] = {}
        for feed, rows in feeds.items():
            for row in rows:
                self._learn(feed.chain_id, row)

    def chains(self, provider: str) -> Collection[int]:
        """See ``RowStore.chains``."""
        return self._served.get(provider, ())

    def refusal(self, provider: str, chain_id: int) -> str | None:
        """See ``RowStore.refusal``."""
        return self._refusals.get((provider, chain_id))

    def head(self, chain_id: int) -> int:
        """See ``RowStore.head``."""
        return self._heads[chain_id]

    def header(self, chain_id: int, block: int) -> Header | None:
        """See ``RowStore.header``; known are only the blocks whose rows carry their hash."""
        return self._headers.get((chain_id, block))

    def rows(self, feed: Feed) -> Rows:
        """See ``RowStore.rows``."""
        return self.feeds.get(feed) or ListedRows()

    def _learn(self, chain_id: int, row: WireRow) -> None:
        block_hash = row.get("blockHash")
        if block_hash:
            header = Header(block_hash, number_of(str(row.get("timeStamp"))) or 0)
            self._headers[chain_id, int(row["blockNumber"])] = header
