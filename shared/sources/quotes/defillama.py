"""Prices of coins and tokens from DefiLlama: no key, one request for many chains.

Recorded: a missing coin is absent from the object, with HTTP 200; ``confidence`` is from 0 to 1.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal

import msgspec

from shared.clock import Deadline
from shared.http import Http
from shared.settings import SourceOptions
from shared.sources.base import PricedAsset, Quote, QuoteSource
from shared.sources.quote_catalog import quote_chains, quote_providers
from shared.sources.quote_client import QuoteClient, believable, by_name, cut, moment

KEY = "defillama"
DOCS = "https://api-docs.defillama.com/#tag/coins"
SEARCH_WIDTH = "4h"  # how old a price may be to be told at all; it comes with its time


class Coin(msgspec.Struct):
    """What is told of one coin."""

    price: Decimal
    timestamp: int
    confidence: Decimal | None = None


class Body(msgspec.Struct):
    """A whole answer, by the names asked for."""

    coins: dict[str, Coin]


def build(http: Http, options: SourceOptions) -> QuoteSource:
    """The source of this provider."""
    return DefiLlama(http, options)


class DefiLlama:
    """Names a token ``chain:0x..`` and a native coin ``coingecko:id``."""

    key = KEY
    second_opinion = False

    def __init__(self, http: Http, options: SourceOptions) -> None:
        self._client = QuoteClient(quote_providers()[KEY], http, options)

    def batches(self, assets: Sequence[PricedAsset]) -> list[list[PricedAsset]]:
        """See ``QuoteSource.batches``."""
        return list(cut(self._named(assets), self._client.batch))

    def quotes(
        self, batch: Sequence[PricedAsset], deadline: Deadline
    ) -> Mapping[PricedAsset, Quote]:
        """See ``QuoteSource.quotes``."""
        named = self._named(batch)
        path = f"prices/current/{','.join(named)}"
        body = self._client.get(path, {"searchWidth": SEARCH_WIDTH}, deadline, Body)
        found: dict[PricedAsset, Quote] = {}
        for name, coin in body.coins.items():
            quote = self._quote(coin)
            if quote is not None:
                found |= dict.fromkeys(named.get(name.lower(), ()), quote)
        return found

    def _named(self, assets: Sequence[PricedAsset]) -> dict[str, list[PricedAsset]]:
        known = quote_chains()
        return by_name(
            (
                f"coingecko:{known[asset.chain_id].coin}"
                if asset.contract is None
                else f"{known[asset.chain_id].defillama}:0x{asset.contract.hex()}",
                asset,
            )
            for asset in assets
            if asset.chain_id in known
        )

    def _quote(self, coin: Coin) -> Quote | None:
        price, at = believable(coin.price), moment(coin.timestamp)
        told = coin.confidence
        confidence = self._client.provider.confidence if told is None else told
        if price is None or at is None or not 0 <= confidence <= 1:
            return None
        return Quote(price, at, confidence)
