"""Prices of coins and tokens from CoinGecko: curated, so none for most junk.

Keys of an answer are lower-case addresses. What it does not know is absent, or has no ``usd``.
Source: https://docs.coingecko.com/v3.0.1/reference/simple-token-price (read 2026-11-24)
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from shared.clock import Deadline
from shared.errors import SourcePayloadError
from shared.http import Http
from shared.settings import SourceOptions
from shared.sources.base import PricedAsset, Quote, QuoteSource
from shared.sources.quote_catalog import quote_chains, quote_providers
from shared.sources.quote_client import QuoteClient, believable, by_name, cut, moment

KEY = "coingecko"
DOCS = "https://docs.coingecko.com"
COINS_AT_ONCE = 50
WANTED = {"vs_currencies": "usd", "include_last_updated_at": "true", "precision": "full"}


class Entry(msgspec.Struct):
    """What is told of one coin or token."""

    usd: Decimal | None = None
    last_updated_at: int | None = None


def build(http: Http, options: SourceOptions) -> QuoteSource:
    """The source of this provider."""
    return CoinGecko(http, options)


class CoinGecko:
    """Asks for native coins by id, for tokens by contract and one chain a request."""

    key = KEY
    second_opinion = False

    def __init__(self, http: Http, options: SourceOptions) -> None:
        self._client = QuoteClient(quote_providers()[KEY], http, options)
        # Each plan has a root and a parameter of its own: docs.coingecko.com/reference.
        is_pro = "pro-api." in self._client.base_url
        self._key_param = "x_cg_pro_api_key" if is_pro else "x_cg_demo_api_key"

    def batches(self, assets: Sequence[PricedAsset]) -> list[list[PricedAsset]]:
        """See ``QuoteSource.batches``."""
        known = [asset for asset in assets if asset.chain_id in quote_chains()]
        natives = [asset for asset in known if asset.contract is None]
        found = list(cut(_named(natives), COINS_AT_ONCE))
        for chain_id in dict.fromkeys(asset.chain_id for asset in known):
            tokens = [asset for asset in known if asset.contract and asset.chain_id == chain_id]
            found += cut(_named(tokens), self._client.batch)
        return found

    def quotes(
        self, batch: Sequence[PricedAsset], deadline: Deadline
    ) -> Mapping[PricedAsset, Quote]:
        """See ``QuoteSource.quotes``."""
        named = _named(batch)
        if batch[0].contract is None:
            path, which = "simple/price", "ids"
        else:
            platform = quote_chains()[batch[0].chain_id].coingecko
            path, which = f"simple/token_price/{platform}", "contract_addresses"
        params: dict[str, Any] = {which: ",".join(named), **WANTED}
        if self._client.api_key is not None:
            params[self._key_param] = self._client.api_key
        found: dict[PricedAsset, Quote] = {}
        answer = self._client.get(path, params, deadline, dict[str, Entry])
        for name, entry in answer.items():
            if name.lower() not in named:
                # An error in the place of data: {"status": {..}} decodes as well.
                detail = f"told of {name[:64]!r}, which was not asked for"
                raise SourcePayloadError(KEY, detail)
            price, at = believable(entry.usd), moment(entry.last_updated_at)
            if price is not None and at is not None:
                quote = Quote(price, at, self._client.provider.confidence)
                found |= dict.fromkeys(named[name.lower()], quote)
        return found


def _named(assets: Sequence[PricedAsset]) -> dict[str, list[PricedAsset]]:
    return by_name(
        (
            quote_chains()[asset.chain_id].coin
            if asset.contract is None
            else f"0x{asset.contract.hex()}",
            asset,
        )
        for asset in assets
    )
