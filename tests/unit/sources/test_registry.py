"""Which source serves which chain."""

from typing import Any

import pytest

from schema.types import StreamKind
from shared.errors import ConfigError, InvalidInputError
from shared.http_client import HttpxClient
from shared.settings import Settings
from shared.sources import registry
from shared.sources.catalog import chains, provider_info, providers
from shared.sources.gaps import gaps_of

WANTED = [1, 10, 56, 100, 137, 8453, 42161, 43114, 59144, 534352, 11155111]
STETH = bytes.fromhex("ae7ab96520de3a18e5e111b5eaab095312d7fe84")


def with_sources(**sources: dict[str, Any]) -> Settings:
    return Settings(source=sources)


@pytest.mark.parametrize("chain_id", WANTED)
def test_chain_is_served_by_somebody(chain_id: int) -> None:
    assert registry.chain_info(chain_id).id == chain_id
    assert any(registry.kinds(provider.key, chain_id) for provider in providers())


def test_table_is_sound() -> None:
    known = {chain.id for chain in chains()}
    for chain in chains():
        assert len(chain.wrapped_native) == 20
        assert all(len(contract) == 20 for contract in chain.rebasing)
    for provider in providers():
        assert provider.keyless in {"no", "yes", "shared"}
        assert set(provider.chains) <= known
        assert provider.page_rows <= provider.window_rows
        for chain_id, served in provider.chains.items():
            assert served.index_lag_blocks <= registry.chain_info(chain_id).settle_depth


def test_unknown_chain_names_the_known_ones() -> None:
    with pytest.raises(InvalidInputError) as caught:
        registry.chain_info(31337)

    assert "1 (Ethereum)" in caught.value.how_to_fix


def test_etherscan_free_key_has_small_pages_and_no_scroll() -> None:
    etherscan = provider_info("etherscan")

    assert (etherscan.page_rows, etherscan.window_rows, etherscan.calls_per_s) == (1000, 10_000, 3)
    assert 534352 not in etherscan.chains
    paid = {chain_id for chain_id, served in etherscan.chains.items() if served.paid_only}
    assert {10, 56, 8453, 43114} <= paid
    assert 1 not in paid


def test_withdrawals_are_only_where_there_are_some() -> None:
    assert StreamKind.WITHDRAWAL in registry.kinds("etherscan", 1)
    assert StreamKind.WITHDRAWAL not in registry.kinds("etherscan", 137)
    assert StreamKind.WITHDRAWAL not in registry.kinds("blockscout", 1)
    assert registry.kinds("routescan", 56) == ()


@pytest.mark.parametrize(
    ("sources", "chain_id", "expected"),
    [
        ({}, 1, "routescan"),
        ({}, 100, "blockscout"),
        ({"etherscan": {"api_key": "k"}}, 1, "etherscan"),
        ({"etherscan": {"api_key": ""}}, 1, "routescan"),
        ({"etherscan": {"api_key": "k"}}, 10, "etherscan"),
        ({"etherscan": {"api_key": "k"}}, 534352, "blockscout"),
        ({"blockscout": {"api_key": "k"}}, 1, "blockscout"),
        ({"etherscan": {"base_url": "http://127.0.0.1:1"}}, 1, "etherscan"),
        ({"blockscout": {"base_url": "http://127.0.0.1:1"}}, 1, "blockscout"),
    ],
)
def test_default_is_the_first_usable(sources: dict[str, Any], chain_id: int, expected: str) -> None:
    assert registry.default_source(chain_id, with_sources(**sources)) == expected


def test_chain_without_a_usable_source_says_which_key_to_set() -> None:
    with pytest.raises(ConfigError) as caught:
        registry.default_source(56, Settings())

    assert "SOURCE__ETHERSCAN__API_KEY" in caught.value.how_to_fix


def test_next_source_walks_through_the_usable_ones() -> None:
    settings = with_sources(etherscan={"api_key": "k"})

    assert registry.next_source("etherscan", 10, settings) == "routescan"
    assert registry.next_source("routescan", 10, settings) == "blockscout"
    assert registry.next_source("blockscout", 10, settings) is None
    assert registry.next_source("etherscan", 10, Settings()) is None


def test_unknown_source_names_the_known_ones() -> None:
    http = HttpxClient()
    for call in (
        lambda: registry.load("os", http, Settings()),
        lambda: registry.kinds("nothing", 1),
        lambda: registry.fetch_ahead("nothing", Settings()),
    ):
        with pytest.raises(InvalidInputError) as caught:
            call()
        assert "etherscan, blockscout, routescan" in caught.value.how_to_fix


def test_source_is_loaded_by_its_key() -> None:
    for provider in providers():
        assert registry.load(provider.key, HttpxClient(), Settings()).key == provider.key


def test_rates_and_depths_are_the_operators_first() -> None:
    settings = with_sources(etherscan={"calls_per_s": 30, "fetch_ahead": 8})

    rates = registry.calls_per_s(settings)
    assert (rates["etherscan"], rates["routescan"]) == (30, 2)
    assert registry.fetch_ahead("etherscan", settings) == 8
    assert registry.fetch_ahead("etherscan", Settings()) == 2
    assert registry.fetch_ahead("etherscan", Settings(fetch_ahead=8)) == 3


@pytest.mark.parametrize(
    ("chain_id", "contract", "missing", "expected"),
    [
        (1, None, {}, []),
        (1, None, {"internals_complete": False}, ["internals_missing"]),
        (1, None, {"withdrawals_complete": False}, ["withdrawals_missing"]),
        (10, None, {"withdrawals_complete": False}, ["l1_fee"]),
        (10, None, {"internals_complete": False}, ["l1_fee", "internals_missing"]),
        (42161, None, {}, []),
        (1, STETH, {"internals_complete": False}, ["rebasing"]),
        (10, STETH, {}, []),
        (1, bytes(20), {}, []),
    ],
)
def test_gaps_say_what_a_balance_cannot_know(
    chain_id: int, contract: bytes | None, missing: dict[str, bool], expected: list[str]
) -> None:
    assert gaps_of(chain_id, contract, **{"internals_complete": True, **missing}) == expected


def test_wrapped_coins_have_a_gap_unless_they_emit_transfers() -> None:
    for chain in chains():
        gaps = gaps_of(chain.id, chain.wrapped_native, internals_complete=True)
        assert gaps == ([] if chain.wrapped_emits_transfer else ["wrapped_native"])


def test_daily_limits_are_those_of_the_plan_and_the_operator_s_word_goes_before() -> None:
    assert registry.calls_a_day(Settings()) == {"routescan": 10_000}
    keys = ("etherscan", "blockscout", "routescan", "coingecko", "binance")
    keyed = with_sources(**{key: {"api_key": "x"} for key in keys})
    assert registry.calls_a_day(keyed) == {
        "etherscan": 100_000, "blockscout": 5_000, "coingecko": 322
    }  # fmt: skip
    said = with_sources(
        etherscan={"calls_a_day": 200_000}, routescan={"calls_a_day": 0}, binance={"calls_a_day": 9}
    )
    assert registry.calls_a_day(said) == {"etherscan": 200_000, "binance": 9}


def test_a_server_on_this_machine_has_no_daily_limit_unless_told() -> None:
    local = {"base_url": "http://127.0.0.1:8545"}

    assert "etherscan" not in registry.calls_a_day(with_sources(etherscan=local))
    told = with_sources(etherscan={**local, "calls_a_day": 7})
    assert registry.calls_a_day(told)["etherscan"] == 7
