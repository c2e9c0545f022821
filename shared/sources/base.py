"""What a provider is to the engine: of chain data, rows of one feed in block order; or of prices.

Amounts are signed integers in the smallest unit, seen from the address: negative when sent.
Nothing here has a place in its block or a database id yet; ``shared.sync.position`` and
``shared.sync.pages`` see to that.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple, Protocol

from schema.types import AssetStandard, MovementKind, StreamKind
from shared.clock import Deadline


class AssetRef(NamedTuple):
    """Names an asset of a chain: no contract is the native coin, ``token_id`` is for NFTs."""

    contract: bytes | None
    token_id: int | None = None


NATIVE = AssetRef(None, None)


class TokenInfo(NamedTuple):
    """What a feed says of an asset; texts are cleaned of what no database takes, and short."""

    standard: AssetStandard
    symbol: str | None
    name: str | None
    decimals: int | None


class Draft(NamedTuple):
    """One signed change of one asset, before it has its place in the block.

    ``leg`` tells the sides of one transfer apart (0 sent, 1 received). ``identity`` is the
    provider's own number of the row (a trace id, a withdrawal index) or empty where it numbers
    nothing.
    """

    tx_index: int
    tx_hash: bytes
    kind: MovementKind
    leg: int
    asset: AssetRef
    counterparty: bytes | None
    amount: int
    identity: bytes


class Row(NamedTuple):
    """One row as the provider served it, with the 0 to 3 movements that it means for the address.

    ``at_s`` is the block's time in whole seconds since 1970 UTC. ``block_hash`` is None where the
    feed has none.
    """

    block: int
    at_s: int
    tx_hash: bytes
    block_hash: bytes | None
    drafts: tuple[Draft, ...]


class Answer(NamedTuple):
    """One page as served: rows in the order asked for, and what it says of their assets."""

    rows: list[Row]
    tokens: dict[AssetRef, TokenInfo]


class FeedRef(NamedTuple):
    """Which feed of which address; ``account`` is lower-case hex with 0x."""

    chain_id: int
    account: str
    kind: StreamKind


class RangeQuery(NamedTuple):
    """One request: page ``page`` (from 1) of ``rows`` rows of blocks ``lo`` to ``hi`` inclusive."""

    lo: int
    hi: int
    page: int
    rows: int
    descending: bool = False


class Limits(NamedTuple):
    """What a provider allows on a chain.

    Blocks closer to the head than ``settle_depth`` may still change: the chain's finality or the
    provider's index lag, whichever is longer.
    """

    page_rows: int
    window_rows: int
    calls_per_s: float
    settle_depth: int


class Source(Protocol):
    """One provider. Every call makes at most one HTTP request, bounded by its deadline.

    All calls raise the ``SourceError`` family only; an error is never returned as an empty answer.
    """

    key: str

    def limits(self, chain_id: int) -> Limits:
        """Page size, window, rate and settle depth on this chain."""
        ...

    def head(self, chain_id: int, deadline: Deadline) -> int:
        """The number of the chain's newest block."""
        ...

    def block_hash(self, chain_id: int, block: int, deadline: Deadline) -> bytes | None:
        """The hash of a block, or None when the provider cannot tell."""
        ...

    def fetch(self, feed: FeedRef, query: RangeQuery, deadline: Deadline) -> Answer:
        """One page of one feed.

        Guarantees: every row lies in ``lo..hi``, concerns the address, and rows are in block order
        (ascending, or descending when asked). At most ``query.rows`` rows. An empty answer is the
        provider's own word for it.
        """
        ...


class PricedAsset(NamedTuple):
    """A coin or token that may have a price: no contract is the native coin of the chain."""

    chain_id: int
    contract: bytes | None


class Quote(NamedTuple):
    """A price of one whole coin as a provider told it; ``at`` is the provider's own time.

    ``confidence`` is from 0 to 1: the provider's word, or ours where it says none.
    """

    price_usd: Decimal
    at: datetime
    confidence: Decimal


class QuoteSource(Protocol):
    """One provider of prices. A call of ``quotes`` makes one HTTP request.

    It raises the ``SourceError`` family only; an error is never returned as "no price known".
    """

    key: str
    # Asked also for what another one has priced: it costs nothing and proves the other.
    second_opinion: bool

    def batches(self, assets: Sequence[PricedAsset]) -> list[list[PricedAsset]]:
        """Those that it can price at all, cut as its requests want them."""
        ...

    def quotes(
        self, batch: Sequence[PricedAsset], deadline: Deadline
    ) -> Mapping[PricedAsset, Quote]:
        """The prices of one batch.

        Guarantees: every price is finite, above zero and not absurd. What the provider does not
        know, or tells nonsense about, is absent: never zero.
        """
        ...
