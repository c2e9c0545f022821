"""What ``providers.toml`` says: chains, providers, and which serves which."""

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

from schema.types import StreamKind
from shared.errors import InvalidInputError


class NativeAlias(NamedTuple):
    """A contract that shows the native coin as a token; ``mints``: its mints and burns count."""

    contract: bytes
    mints: bool


class ChainInfo(NamedTuple):
    """A chain and what is special about its money; ``settle_depth`` is in blocks."""

    id: int
    name: str
    native_symbol: str
    native_name: str
    decimals: int
    settle_depth: int
    op_stack: bool
    l1_fee: bool
    withdrawals: bool
    wrapped_native: bytes
    wrapped_emits_transfer: bool
    native_aliases: tuple[NativeAlias, ...]
    rebasing: frozenset[bytes]


class ServedChain(NamedTuple):
    """How a provider serves one chain; ``host`` is the public URL it has for it, if any."""

    index_lag_blocks: int
    paid_only: bool
    host: str | None


class ProviderInfo(NamedTuple):
    """A provider and its limits; ``keyless`` is ``no``, ``yes`` or ``shared``.

    ``calls_a_day`` is None where no limit is known; a day is one of UTC.
    """

    key: str
    base_url: str
    keyless: str
    chain_param: str
    calls_per_s: float
    fetch_ahead: int
    page_rows: int
    window_rows: int
    flat_traces: bool
    kinds: tuple[StreamKind, ...]
    chains: dict[int, ServedChain]
    calls_a_day: int | None = None
    keyless_calls_a_day: int | None = None

    def key_variable(self) -> str:
        """The environment variable that holds its API key."""
        return f"SOURCE__{self.key.upper()}__API_KEY"

    def kinds_on(self, chain_id: int) -> tuple[StreamKind, ...]:
        """The feeds it serves on a chain; none on a chain that it does not serve."""
        if chain_id not in self.chains:
            return ()
        if chain_info(chain_id).withdrawals:
            return self.kinds
        return tuple(kind for kind in self.kinds if kind is not StreamKind.WITHDRAWAL)


def chains() -> tuple[ChainInfo, ...]:
    """Every chain known, in the order of the table."""
    return tuple(_tables()[0].values())


def chain_info(chain_id: int) -> ChainInfo:
    """One chain.

    Raises:
        InvalidInputError: The table has no such chain; names those it has.
    """
    known = _tables()[0]
    if chain_id not in known:
        names = ", ".join(f"{chain.id} ({chain.name})" for chain in known.values())
        message = f"chain {chain_id} is not known"
        raise InvalidInputError(message, fix=f"Choose one of {names}.")
    return known[chain_id]


def providers() -> tuple[ProviderInfo, ...]:
    """Every provider, in the order of choice."""
    return tuple(_tables()[1].values())


def provider_info(key: str) -> ProviderInfo:
    """One provider.

    Raises:
        InvalidInputError: There is no such source; names those there are.
    """
    known = _tables()[1]
    if key not in known:
        message = f"source {key!r} is not known"
        raise InvalidInputError(message, fix=f"Choose one of {', '.join(known)}.")
    return known[key]


@cache
def _tables() -> tuple[dict[int, ChainInfo], dict[str, ProviderInfo]]:
    """The packaged file, read once."""
    text = files("shared.sources").joinpath("providers.toml").read_text(encoding="utf-8")
    data = tomllib.loads(text)
    known_chains = {entry["id"]: _chain(entry) for entry in data["chains"]}
    return known_chains, {entry["key"]: _provider(entry) for entry in data["providers"]}


def _chain(entry: dict[str, Any]) -> ChainInfo:
    """A chain out of its table."""
    aliases = tuple(
        NativeAlias(_address(alias["contract"]), alias["mints"])
        for alias in entry["native_aliases"]
    )
    special = {
        "l1_fee": entry.get("l1_fee", entry["op_stack"]),
        "wrapped_native": _address(entry["wrapped_native"]),
        "native_aliases": aliases,
        "rebasing": frozenset(map(_address, entry["rebasing"])),
    }
    return ChainInfo(**(entry | special))


def _provider(entry: dict[str, Any]) -> ProviderInfo:
    """A provider out of its table."""
    served = {
        chain["id"]: ServedChain(
            chain["index_lag_blocks"], chain.get("paid_only", False), chain.get("host")
        )
        for chain in entry["chains"]
    }
    kinds = tuple(map(StreamKind, entry["kinds"]))
    return ProviderInfo(**(entry | {"kinds": kinds, "chains": served}))


def _address(text: str) -> bytes:
    """The 20 bytes of a hex address."""
    return bytes.fromhex(text.removeprefix("0x"))
