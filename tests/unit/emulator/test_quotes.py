"""The local provider's prices: each provider's own form, the same for the same world."""

import json
from collections.abc import Callable
from decimal import Decimal

import pytest

from shared.clock import Deadline
from shared.emulator.emulator import Emulator
from shared.emulator.faults import FaultPlan, fault
from shared.emulator.in_process import EmulatorHttp
from shared.emulator.quotes import COINS
from shared.emulator.store import WorldStore
from shared.emulator.world import World, WorldConfig
from shared.errors import SourceError, SourceRateLimitedError
from shared.sources import registry
from shared.sources.base import PricedAsset, Quote, QuoteSource
from tests.fakes import FakeClock
from tests.rigs import quiet_settings

ETHER = PricedAsset(1, None)
KEYS = ["defillama", "coingecko", "binance"]


def _world() -> World:
    return World(5, WorldConfig(chains=(1, 10)))


def _emulator(clock: FakeClock, plan: FaultPlan | None = None) -> Emulator:
    return Emulator(WorldStore(_world()), plan=plan, now=clock.now)


def _sources(emulator: Emulator, clock: FakeClock) -> dict[str, QuoteSource]:
    http = EmulatorHttp(emulator, clock)
    return {source.key: source for source in registry.load_quotes(http, quiet_settings())}


@pytest.fixture
def ask(clock: FakeClock) -> Callable[..., dict[PricedAsset, Quote]]:
    emulator = _emulator(clock)

    def asked(key: str, *assets: PricedAsset) -> dict[PricedAsset, Quote]:
        source = _sources(emulator, clock)[key]
        return dict(source.quotes(list(assets), Deadline.after(clock, 5)))

    return asked


@pytest.mark.parametrize("key", KEYS)
def test_natives_have_a_price_at_every_provider(
    ask: Callable[..., dict[PricedAsset, Quote]], clock: FakeClock, key: str
) -> None:
    found = ask(key, ETHER)[ETHER]

    assert abs(found.price_usd / Decimal(COINS["ethereum"]) - 1) < Decimal("0.01")
    assert (clock.now() - found.at).total_seconds() == 60


@pytest.mark.parametrize("key", ["defillama", "coingecko"])
def test_honest_coins_of_the_world_are_priced_and_junk_is_not(
    ask: Callable[..., dict[PricedAsset, Quote]], key: str
) -> None:
    for chain_id in (1, 10):
        cast = _world().cast(chain_id)
        coins = [PricedAsset(chain_id, coin.contract) for coin in cast.coins]
        others = [PricedAsset(chain_id, token.contract) for token in (cast.junk, *cast.spam)]

        assert set(ask(key, *coins, *others)) == set(coins)


def test_the_same_world_tells_the_same_prices(clock: FakeClock) -> None:
    path = "/defillama/prices/current/coingecko:ethereum,ethereum:0x" + (
        _world().cast(1).coins[0].contract.hex()
    )

    answers = {_emulator(clock).answer(path, {}, 0.0).body for _ in range(2)}

    assert len(answers) == 1
    assert len(json.loads(answers.pop())["coins"]) == 2


def test_a_pair_that_is_not_traded_fails_the_whole_request(clock: FakeClock) -> None:
    for symbols in ('["ETHUSDT","NOPE"]', "[]", "ETHUSDT", ""):
        answer = _emulator(clock).answer("/binance/api/v3/ticker/24hr", {"symbols": symbols}, 0.0)
        assert (answer.status, json.loads(answer.body)["code"]) == (400, -1121)


@pytest.mark.parametrize(
    "name", ["http_429", "http_500", "http_502", "html_200", "truncated", "dropped", "slow"]
)
def test_faults_meet_prices_as_they_meet_rows(clock: FakeClock, name: str) -> None:
    source = _sources(_emulator(clock, FaultPlan(script={1: fault(name)})), clock)["defillama"]

    with pytest.raises(SourceError) as caught:
        source.quotes([ETHER], Deadline.after(clock, 3))
    assert isinstance(caught.value, SourceRateLimitedError) is (name == "http_429")
    assert ETHER in source.quotes([ETHER], Deadline.after(clock, 3))


def test_calls_are_counted_by_provider(clock: FakeClock) -> None:
    emulator = _emulator(clock)
    for source in _sources(emulator, clock).values():
        source.quotes([ETHER], Deadline.after(clock, 3))

    assert emulator.stats()["actions"] == dict.fromkeys(KEYS, 1)
