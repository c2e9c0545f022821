"""The table of price providers: who they are, how fast, and what they call our chains."""

import pytest
from pydantic import SecretStr

from shared.errors import ConfigError
from shared.http_client import HttpxClient
from shared.settings import Settings, SourceOptions
from shared.sources import registry
from shared.sources.quote_catalog import quote_chains, quote_providers


def test_providers_come_in_the_order_in_which_they_are_asked() -> None:
    found = registry.load_quotes(HttpxClient(), Settings())

    assert [source.key for source in found] == ["defillama", "coingecko", "binance"]
    assert [source.second_opinion for source in found] == [False, False, True]


def test_every_priced_chain_is_one_of_ours_and_has_real_money() -> None:
    ours = {chain.id: chain for chain in registry.chains()}

    assert set(registry.priced_chains()) <= set(ours)
    assert {ours[chain_id].name for chain_id in ours.keys() - quote_chains().keys()} == {
        name for chain in ours.values() if "Sepolia" in (name := chain.name)
    }


def test_pairs_are_of_the_native_coin() -> None:
    ours = {chain.id: chain for chain in registry.chains()}
    for chain in quote_chains().values():
        assert chain.pair in {None, f"{ours[chain.id].native_symbol}USDT"}


def test_a_key_and_the_operator_make_it_faster() -> None:
    keyed = {"coingecko": SourceOptions(api_key=SecretStr("x"))}
    said = {"coingecko": SourceOptions(calls_per_s=8)}
    table = quote_providers()["coingecko"]

    assert registry.calls_per_s(Settings())["coingecko"] == table.keyless_calls_per_s
    assert registry.calls_per_s(Settings(source=keyed))["coingecko"] == table.calls_per_s
    assert registry.calls_per_s(Settings(source=said))["coingecko"] == 8


def test_their_settings_are_known_and_a_misspelling_is_not() -> None:
    registry.check_options(Settings(source=dict.fromkeys(quote_providers(), SourceOptions())))

    with pytest.raises(ConfigError, match="SOURCE__COINGEKO__"):
        registry.check_options(Settings(source={"coingeko": SourceOptions()}))
