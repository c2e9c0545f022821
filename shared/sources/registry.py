"""Which source serves which chain, and how one is made."""

from importlib import import_module
from urllib.parse import urlsplit

from schema.types import StreamKind
from shared.errors import ConfigError
from shared.http import Http
from shared.settings import Settings
from shared.sources.base import Source
from shared.sources.catalog import (
    ChainInfo,
    ProviderInfo,
    chain_info,
    chains,
    provider_info,
    providers,
)

__all__ = [
    "ChainInfo",
    "calls_per_s",
    "chain_info",
    "chains",
    "check_options",
    "default_source",
    "fetch_ahead",
    "kinds",
    "load",
    "next_source",
]

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
UNPACED = 1_000.0


def check_options(settings: Settings) -> None:
    """Refuse settings of a provider that does not exist: most likely its name is misspelt.

    Raises:
        ConfigError: Names the variable's prefix and the providers there are.
    """
    known = [provider.key for provider in providers()]
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


def calls_per_s(settings: Settings) -> dict[str, float]:
    """Calls per second that each source allows, for the rate gate."""
    return {provider.key: _pace(provider, settings) for provider in providers()}


def fetch_ahead(key: str, settings: Settings) -> int:
    """Pages of one window to have in flight: the operator's word, else the smaller default."""
    return settings.options_of(key).fetch_ahead or min(
        provider_info(key).fetch_ahead, settings.fetch_ahead
    )


def _pace(provider: ProviderInfo, settings: Settings) -> float:
    """The operator's word, else the table's; a server on this machine has no such limit."""
    options = settings.options_of(provider.key)
    local = urlsplit(options.base_url or "").hostname in LOOPBACK
    return options.calls_per_s or (UNPACED if local else provider.calls_per_s)


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
    options = settings.options_of(provider.key)
    has_key = options.api_key is not None and bool(options.api_key.get_secret_value())
    return has_key or bool(options.base_url)
