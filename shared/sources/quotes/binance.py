"""Prices of native coins from Binance, in USDT: what is traded there proves what others say.

``ticker/24hr`` and not ``ticker/price``: only the former carries a time.
Source: https://developers.binance.com/docs/binance-spot-api-docs/rest-api/market-data-endpoints
"""

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal

import msgspec

from shared.clock import Deadline
from shared.errors import SourcePayloadError
from shared.http import Http
from shared.settings import SourceOptions
from shared.sources.base import PricedAsset, Quote, QuoteSource
from shared.sources.quote_catalog import quote_chains, quote_providers
from shared.sources.quote_client import QuoteClient, believable, by_name, cut, moment

KEY = "binance"
DOCS = "https://developers.binance.com/docs/binance-spot-api-docs/rest-api/market-data-endpoints"


class Ticker(msgspec.Struct, rename="camel"):
    """The last day of one pair, in its short form; ``close_time`` is in milliseconds."""

    symbol: str
    last_price: Decimal
    close_time: int


def build(http: Http, options: SourceOptions) -> QuoteSource:
    """The source of this provider."""
    return Binance(http, options)


class Binance:
    """Knows pairs only, so a token is never asked for: its symbol proves nothing."""

    key = KEY
    second_opinion = True

    def __init__(self, http: Http, options: SourceOptions) -> None:
        self._client = QuoteClient(quote_providers()[KEY], http, options)

    def batches(self, assets: Sequence[PricedAsset]) -> list[list[PricedAsset]]:
        """See ``QuoteSource.batches``."""
        return list(cut(_named(assets), self._client.batch))

    def quotes(
        self, batch: Sequence[PricedAsset], deadline: Deadline
    ) -> Mapping[PricedAsset, Quote]:
        """See ``QuoteSource.quotes``."""
        named = _named(batch)
        params = {"symbols": json.dumps(list(named), separators=(",", ":")), "type": "MINI"}
        found: dict[PricedAsset, Quote] = {}
        answer = self._client.get("api/v3/ticker/24hr", params, deadline, list[Ticker])
        for ticker in answer:
            if ticker.symbol not in named:
                detail = f"told of {ticker.symbol[:64]!r}, which was not asked for"
                raise SourcePayloadError(KEY, detail)
            price, at = believable(ticker.last_price), moment(ticker.close_time // 1000)
            if price is not None and at is not None:
                quote = Quote(price, at, self._client.provider.confidence)
                found |= dict.fromkeys(named[ticker.symbol], quote)
        return found


def _named(assets: Sequence[PricedAsset]) -> dict[str, list[PricedAsset]]:
    pairs = {chain.id: chain.pair for chain in quote_chains().values()}
    return by_name(
        (pair, asset)
        for asset in assets
        if asset.contract is None and (pair := pairs.get(asset.chain_id)) is not None
    )
