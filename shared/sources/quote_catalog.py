"""What ``quotes.toml`` says: providers of prices, and what they call our chains."""

import tomllib
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple


class QuoteChain(NamedTuple):
    """What the providers call a chain and its native coin; ``pair`` may be None: not traded."""

    id: int
    coin: str
    defillama: str
    coingecko: str
    pair: str | None


class QuoteProvider(NamedTuple):
    """A provider of prices and its limits, with an API key and without."""

    key: str
    base_url: str
    docs: str
    calls_per_s: float
    keyless_calls_per_s: float
    batch: int
    keyless_batch: int
    confidence: Decimal
    calls_a_day: int | None = None
    keyless_calls_a_day: int | None = None


def quote_chains() -> dict[int, QuoteChain]:
    """Every chain on which there are prices."""
    return _tables()[0]


def quote_providers() -> dict[str, QuoteProvider]:
    """Every provider of prices, in the order in which they are asked."""
    return _tables()[1]


@cache
def _tables() -> tuple[dict[int, QuoteChain], dict[str, QuoteProvider]]:
    """The packaged file, read once."""
    text = files("shared.sources").joinpath("quotes.toml").read_text(encoding="utf-8")
    data = tomllib.loads(text)
    chains = {entry["id"]: QuoteChain(**{"pair": None, **entry}) for entry in data["chains"]}
    return chains, {entry["key"]: _provider(entry) for entry in data["providers"]}


def _provider(entry: dict[str, Any]) -> QuoteProvider:
    return QuoteProvider(**{**entry, "confidence": Decimal(entry["confidence"])})
