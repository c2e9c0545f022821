"""Which source serves which chain, and how one is made."""

from importlib import import_module
from urllib.parse import urlsplit

from schema.types import StreamKind
from shared.errors import ConfigError
from shared.http import Http
from shared.settings import Settings
from shared.sources.base import QuoteSource, Source
from shared.sources.catalog import (
    ChainInfo,
    ProviderInfo,
    chain_info,
    chains,
    provider_info,
    providers,
)
from shared.sources.quote_catalog import QuoteProvider, quote_chains, quote_providers

__all__ = [
    "ChainInfo",
    "calls_a_day",
    "calls_per_s",
    "chain_info",
    "chains",
    "check_options",
    "default_source",
    "fetch_ahead",
    "kinds",
    "load",
    "load_quotes",
    "next_source",
    "priced_chains",
]

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
UNPACED = 1_000.0


def check_options(settings: Settings) -> None:
    """Refuse settings of a provider that does not exist: most likely its name is misspelt.

    Raises:
        ConfigError: Names the variable's prefix and the providers there are.
    """
    known = [provider.key for provider in providers()] + list(quote_providers())
    for key in settings.source:
        if key not in known:
            message = f"SOURCE__{key.upper()}__.. names no provider"
            raise ConfigError(message, fix=f"Those there are: {', '.join(known)}.")


def kinds(source_key: str, chain_id: int) -> tuple[StreamKind, ...]:
    """The feeds that a source serves on a chain; empty when it does not serve the chain.

    Raises:
        InvalidInputError: No such source or chain.
    """
    chain_info(chain_id)
    return provider_info(source_key).kinds_on(chain_id)


def default_source(chain_id: int, settings: Settings) -> str:
    """The source of a new stream: the first in the table that is usable.

    Usable without further ado: it asks no key, or has one, or the operator gave it a URL. A public
    host that is shared by everybody comes after all of those.

    Raises:
        InvalidInputError: No such chain.
        ConfigError: Every source of this chain needs a key; names the variables.
    """
    chain = chain_info(chain_id)
    usable = _usable(chain_id, settings)
    if usable:
        return usable[0]
    variables = " or ".join(
        provider.key_variable() for provider in providers() if chain_id in provider.chains
    )
    message = f"no source for {chain.name} ({chain_id}) works without an API key"
    raise ConfigError(message, fix=f"Set {variables}.")


def next_source(after_key: str, chain_id: int, settings: Settings) -> str | None:
    """The source to try when ``after_key`` does not serve the chain; None when it was the last.

    Walking on from ``default_source`` meets every usable source once.
    """
    usable = _usable(chain_id, settings)
    if after_key not in usable:
        return None
    following = usable[usable.index(after_key) + 1 :]
    return following[0] if following else None


def load(key: str, http: Http, settings: Settings) -> Source:
    """The source with this key; imports its one module.

    Raises:
        InvalidInputError: No such source; names those there are.
    """
    provider_info(key)
    adapter = import_module(f"shared.sources.chains.{key}")
    source: Source = adapter.build(http, settings.options_of(key))
    return source


def load_quotes(http: Http, settings: Settings) -> list[QuoteSource]:
    """Every provider of prices, in the order in which they are asked."""
    found: list[QuoteSource] = []
    for key in quote_providers():
        adapter = import_module(f"shared.sources.quotes.{key}")
        found.append(adapter.build(http, settings.options_of(key)))
    return found


def priced_chains() -> list[int]:
    """The chains whose assets some provider may price."""
    return list(quote_chains())


def calls_per_s(settings: Settings) -> dict[str, float]:
    """Calls per second that each source allows, for the rate gate."""
    of_chains = {
        provider.key: _pace(provider.key, provider.calls_per_s, settings)
        for provider in providers()
    }
    return of_chains | {
        key: _pace(key, _quote_pace(provider, settings), settings)
        for key, provider in quote_providers().items()
    }


def calls_a_day(settings: Settings) -> dict[str, int]:
    """Calls of one day (UTC) that the sources with such a limit allow, for the rate gate."""
    known: list[ProviderInfo | QuoteProvider] = [*providers(), *quote_providers().values()]
    limits = {provider.key: _day_limit(provider, settings) for provider in known}
    return {key: limit for key, limit in limits.items() if limit}


def fetch_ahead(key: str, settings: Settings) -> int:
    """Pages of one window to have in flight: the operator's word, else the smaller default."""
    return settings.options_of(key).fetch_ahead or min(
        provider_info(key).fetch_ahead, settings.fetch_ahead
    )


def _pace(key: str, documented: float, settings: Settings) -> float:
    """The operator's word, else the table's; a server on this machine has no such limit."""
    said = settings.options_of(key).calls_per_s
    return said or (UNPACED if _is_local(key, settings) else documented)


def _day_limit(provider: ProviderInfo | QuoteProvider, settings: Settings) -> int | None:
    """The operator's word, where 0 means none, else the table's; None on this machine."""
    said = settings.options_of(provider.key).calls_a_day
    if said is not None or _is_local(provider.key, settings):
        return said
    has_key = _has_key(provider.key, settings)
    return provider.calls_a_day if has_key else provider.keyless_calls_a_day


def _is_local(key: str, settings: Settings) -> bool:
    """Whether the operator has it served by this machine."""
    return urlsplit(settings.options_of(key).base_url or "").hostname in LOOPBACK


def _quote_pace(provider: QuoteProvider, settings: Settings) -> float:
    """What the table says of a provider of prices, with our key or without."""
    has_key = _has_key(provider.key, settings)
    return provider.calls_per_s if has_key else provider.keyless_calls_per_s


def _usable(chain_id: int, settings: Settings) -> list[str]:
    """Sources of a chain in the order of choice, shared public hosts last."""
    first, last = [], []
    for provider in providers():
        if chain_id not in provider.chains:
            continue
        if provider.keyless == "yes" or _is_set_up(provider, settings):
            first.append(provider.key)
        elif provider.keyless == "shared" and provider.chains[chain_id].host:
            last.append(provider.key)
    return first + last


def _is_set_up(provider: ProviderInfo, settings: Settings) -> bool:
    """Whether the operator gave this provider a key or a URL."""
    return _has_key(provider.key, settings) or bool(settings.options_of(provider.key).base_url)


def _has_key(key: str, settings: Settings) -> bool:
    """Whether the operator gave this provider a key."""
    api_key = settings.options_of(key).api_key
    return api_key is not None and bool(api_key.get_secret_value())
