"""Prices in the words of each provider; numbers go out as the very text that a test gives."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from shared.sources.base import PricedAsset
from shared.sources.quote_catalog import quote_chains

FIXTURES = Path(__file__).parent / "fixtures"
AT_S = 1_776_255_428


class Tell(NamedTuple):
    """What a provider tells of one asset: JSON texts, without quotes for a number."""

    price: str
    at_s: str = str(AT_S)
    confidence: str = "0.99"


def facts(key: str) -> Any:
    """The kept facts of a provider."""
    return json.loads((FIXTURES / key / "facts.json").read_text(encoding="utf-8"))


def name_of(key: str, asset: PricedAsset) -> str:
    """What a provider calls an asset."""
    chain = quote_chains()[asset.chain_id]
    if key == "binance":
        return chain.pair or ""
    contract = None if asset.contract is None else "0x" + asset.contract.hex()
    if key == "coingecko":
        return contract or chain.coin
    return f"{chain.defillama}:{contract}" if contract else f"coingecko:{chain.coin}"


def body(key: str, told: Mapping[str, Tell]) -> bytes:
    """An answer by the provider's own names."""
    if key == "binance":
        # Its price is text; a test's text with a dot in it is a number to the others.
        rows = [
            f'{{"symbol":"{name}","lastPrice":{_quoted(one.price)},"closeTime":{_millis(one)}}}'
            for name, one in told.items()
        ]
        return ("[" + ",".join(rows) + "]").encode()
    if key == "coingecko":
        rows = [
            f'"{name}":{{"usd":{one.price},"last_updated_at":{one.at_s}}}'
            for name, one in told.items()
        ]
        return ("{" + ",".join(rows) + "}").encode()
    rows = [
        f'"{name}":{{"decimals":18,"symbol":"X","price":{one.price},"timestamp":{one.at_s},'
        f'"confidence":{one.confidence}}}'
        for name, one in told.items()
    ]
    return ('{"coins":{' + ",".join(rows) + "}}").encode()


def _quoted(price: str) -> str:
    is_number = price[0] in "-0123456789"
    return f'"{price}"' if is_number else price


def _millis(one: Tell) -> str:
    return str(int(one.at_s) * 1000 + 123) if one.at_s.lstrip("-").isdigit() else one.at_s
