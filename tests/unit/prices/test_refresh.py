"""Refreshing prices: who is asked, how often, in which order, and what is kept of the answers."""

from decimal import Decimal

import pytest

from schema.types import PriceState
from shared.clock import Deadline
from shared.errors import (
    SourceDeniedError,
    SourcePayloadError,
    SourceRateLimitedError,
    SourceUnavailableError,
)
from shared.gate import Pacer
from shared.prices.spam import GIVEN_UP_AFTER, wait_s
from shared.sources.base import PricedAsset
from tests.factories import make_asset, make_stream, save
from tests.unit.prices.conftest import Shop

ETHER = PricedAsset(1, None)
REFRESH_S = 900.0


@pytest.mark.parametrize(("assets", "calls"), [(1, 1), (100, 1), (101, 2), (250, 3)])
def test_calls_are_assets_by_batch(shop: Shop, assets: int, calls: int) -> None:
    for asset_id in shop.tokens(assets):
        shop.llama.prices[shop.key(asset_id)] = "1.5"

    report = shop.refresh()

    assert report.calls == {"defillama": calls}
    assert (report.asked, report.priced, report.left) == (assets, assets, 0)
    assert shop.refresh().calls == {}


def test_the_second_provider_is_asked_only_for_what_the_first_left(shop: Shop) -> None:
    ids = shop.tokens(70)
    keys = [shop.key(asset_id) for asset_id in ids]
    shop.llama.prices = dict.fromkeys(keys[:30], "1.5")
    shop.gecko.prices = dict.fromkeys(keys[:60], "1.5")

    report = shop.refresh()

    assert report.calls == {"defillama": 1, "coingecko": 2}
    assert sorted(key for batch in shop.gecko.asked for key in batch) == sorted(keys[30:])
    assert (report.priced, report.unknown) == (60, 10)
    assert {shop.price(asset_id).source for asset_id in ids[:30]} == {"defillama"}
    assert {shop.price(asset_id).source for asset_id in ids[30:60]} == {"coingecko"}


def test_natives_are_checked_by_the_exchange_and_tokens_are_not(shop: Shop) -> None:
    ether, token = shop.hold(make_asset(contract=None), make_asset())
    shop.llama.prices = {ETHER: "2000", shop.key(token): "1"}
    shop.binance.prices = {ETHER: "2001"}

    report = shop.refresh()

    assert report.calls == {"defillama": 1, "binance": 1}
    assert shop.binance.asked == [[ETHER]]
    found = shop.price(ether)
    assert (found.source, found.price_usd, found.flag) == ("defillama", Decimal(2000), None)
    assert found.confidence == Decimal("0.99")


@pytest.mark.parametrize("other", ["2200", "1800"])
def test_a_disagreement_is_flagged_and_doubted(shop: Shop, other: str) -> None:
    (ether,) = shop.hold(make_asset(contract=None))
    shop.llama.prices, shop.binance.prices = {ETHER: "2000"}, {ETHER: other}

    report = shop.refresh()

    found = shop.price(ether)
    assert report.flagged == 1
    assert (found.price_usd, found.flag) == (Decimal(2000), "disagreement")
    assert found.confidence is not None
    assert found.confidence < Decimal("0.5")

    shop.binance.prices = {ETHER: "2000"}
    shop.database.advance(REFRESH_S + 1)
    assert shop.refresh().flagged == 0
    assert shop.price(ether).flag is None


def test_the_exchange_prices_a_native_that_nobody_else_knows(shop: Shop) -> None:
    (ether,) = shop.hold(make_asset(contract=None))
    shop.binance.prices = {ETHER: "2000"}

    assert shop.refresh().priced == 1
    assert shop.price(ether).source == "binance"


def test_a_price_is_stored_with_every_digit_and_its_own_time(shop: Shop) -> None:
    (token,) = shop.tokens(1)
    exact = "0.00000012345678901234567890123456789"
    shop.llama.prices = {shop.key(token): exact}
    shop.llama.age_s = 7200.0

    shop.refresh()

    found = shop.price(token)
    assert found.price_usd == Decimal(exact)
    assert found.priced_at is not None
    assert abs((shop.database.clock.now() - found.priced_at).total_seconds() - 7200) < 1
    assert found.state == PriceState.PRICED


def test_only_what_somebody_holds_is_asked_for(shop: Shop) -> None:
    shop.hold(make_asset(), amount=0)
    save(shop.database.engine, make_asset())
    shop.hold(make_asset(chain_id=11155111, contract=None))
    shop.hold(make_asset(standard="erc721", token_id=5), make_asset(standard="erc1155", token_id=1))
    (kept,) = shop.tokens(1)
    resting = {"generation": 9, "resting_since": shop.database.clock.now()}
    for changes in ({"generation": 2, "live": False}, resting):
        (stream,) = save(shop.database.engine, make_stream(**changes))
        shop.stream_id = stream.id or 0
        shop.tokens(1)

    report = shop.refresh()

    assert report.asked == 1
    assert list(shop.states()) == [kept]


def test_the_one_asked_longest_ago_comes_first(shop: Shop) -> None:
    first = shop.tokens(100)
    shop.refresh(box_s=30)
    second = shop.tokens(100)
    shop.database.advance(8 * 86_400)
    shop.llama.asked.clear()
    # The box has room for one claim only; the new ones were never asked.
    shop.llama.takes_s = 5.0

    shop.refresh(box_s=6)

    asked = shop.llama.asked[0]
    assert {shop.key(asset_id) for asset_id in second} == set(asked)
    shop.refresh(box_s=6)
    assert {shop.key(asset_id) for asset_id in first} == set(shop.llama.asked[1])


def test_a_refresh_ends_in_its_box_and_the_next_goes_on(shop: Shop) -> None:
    shop.llama.prices = {shop.key(token): "1" for token in shop.tokens(350)}
    shop.llama.takes_s = 4.0
    clock = shop.database.clock
    began = clock.monotonic()

    report = shop.refresh(box_s=9, reserve_s=0.5)

    assert clock.monotonic() - began <= 9
    assert (report.asked, report.left) == (200, 150)
    assert shop.refresh(box_s=9).left == 0
    asked = [asset for batch in shop.llama.asked for asset in batch]
    assert len(asked) == len(set(asked)) == 350


def test_an_answer_that_would_come_too_late_is_left_for_the_next_time(shop: Shop) -> None:
    shop.tokens(10)
    shop.llama.takes_s = 60.0

    report = shop.refresh(box_s=5)

    assert (report.asked, report.unanswered, report.left) == (10, 10, 10)
    assert set(shop.states().values()) == {"new"}


def test_two_refreshes_at_once_never_ask_for_the_same(shop: Shop) -> None:
    shop.tokens(200)
    other = shop.refresher()
    clock = shop.database.clock
    nested: list[int] = []

    def meanwhile() -> None:
        shop.llama.hook = lambda: None
        nested.append(other.refresh(Deadline.after(clock, 20)).asked)

    shop.llama.hook = meanwhile
    report = shop.refresh()

    asked = [asset for batch in shop.llama.asked for asset in batch]
    assert (report.asked, nested) == (100, [100])
    assert len(asked) == len(set(asked)) == 200


def test_a_killed_refresh_loses_one_claim_at_most_and_it_is_due_again(shop: Shop) -> None:
    ids = shop.tokens(250)
    keys = [shop.key(asset_id) for asset_id in ids]
    shop.llama.prices = dict.fromkeys(keys, "1.5")

    def killed() -> None:
        if len(shop.llama.asked) == 2:
            raise KeyboardInterrupt

    shop.llama.hook = killed
    with pytest.raises(KeyboardInterrupt):
        shop.refresh(box_s=10)
    assert list(shop.states().values()).count("priced") == 100

    shop.llama.hook = lambda: None
    assert shop.refresh(box_s=10).asked == 50
    shop.database.advance(60)
    assert shop.refresh(box_s=10).asked == 100
    assert set(shop.states().values()) == {"priced"}


def test_who_was_slower_than_its_claim_changes_nothing(shop: Shop) -> None:
    (token,) = shop.tokens(1)
    key = shop.key(token)
    shop.llama.prices = {key: "1"}

    def thaws_late() -> None:
        shop.llama.hook = lambda: None
        shop.database.advance(120)
        shop.llama.prices = {key: "2"}
        shop.refresh()
        shop.llama.prices = {key: "1"}
        shop.llama.age_s = -120.0

    shop.llama.hook = thaws_late
    shop.refresh()

    assert shop.price(token).price_usd == Decimal(2)


def test_a_price_older_than_the_stored_one_is_not_taken(shop: Shop) -> None:
    (token,) = shop.tokens(1)
    key = shop.key(token)
    shop.llama.prices = {key: "1"}
    shop.refresh()
    shop.llama.prices, shop.gecko.prices = {}, {key: "9"}
    shop.gecko.age_s = 5 * REFRESH_S
    shop.database.advance(REFRESH_S + 1)

    shop.refresh()

    found = shop.price(token)
    assert (found.price_usd, found.source) == (Decimal(1), "defillama")


@pytest.mark.parametrize("wrong_by_s", [-3600.0, -86_400.0])
def test_a_price_from_the_future_is_not_believed(shop: Shop, wrong_by_s: float) -> None:
    (token,) = shop.tokens(1)
    shop.llama.prices = {shop.key(token): "1"}
    shop.llama.age_s = wrong_by_s

    report = shop.refresh()

    assert (report.priced, report.unanswered) == (0, 1)
    assert shop.price(token).price_usd is None


def test_unknown_tokens_are_asked_at_growing_distances_and_then_no_more(shop: Shop) -> None:
    (token,) = shop.tokens(1)

    for misses in range(1, GIVEN_UP_AFTER):
        assert shop.refresh().unknown == 1
        assert (shop.price(token).state, shop.price(token).misses) == ("unknown", misses)
        shop.database.advance(wait_s(misses) - 60)
        assert shop.refresh().asked == 0
        shop.database.advance(61)
    assert shop.refresh().spam == 1
    shop.database.advance(365 * 86_400)

    assert shop.refresh().asked == 0
    assert shop.price(token).state == "spam"
    assert wait_s(2) > wait_s(1)


def test_what_was_given_up_can_be_asked_for_again(shop: Shop) -> None:
    (token,) = shop.hold(make_asset(name="Free Claim"))
    assert shop.refresh().spam == 1
    shop.llama.prices = {shop.key(token): "3"}

    assert shop.refresher().forgive() == 1
    assert shop.refresh().priced == 1


def test_bait_is_never_asked_for_and_a_native_never_given_up(shop: Shop) -> None:
    bait, ether = shop.hold(
        make_asset(symbol="$ USDC", name="Visit https://claim-usdc.example"),
        make_asset(contract=None, name="claim at www.ether.example"),
    )

    report = shop.refresh()

    assert (report.asked, report.spam) == (1, 1)
    assert shop.states() == {bait: "spam", ether: "unknown"}
    assert shop.llama.asked == [[ETHER]]


def test_what_had_a_price_keeps_it_when_nobody_tells_one_any_more(shop: Shop) -> None:
    (token,) = shop.tokens(1)
    shop.llama.prices = {shop.key(token): "1.25"}
    shop.refresh()
    priced_at = shop.price(token).priced_at
    shop.llama.prices = {}

    for _ in range(GIVEN_UP_AFTER + 2):
        shop.database.advance(8 * 86_400)
        shop.refresh()

    found = shop.price(token)
    assert (found.state, found.price_usd, found.priced_at) == ("priced", Decimal("1.25"), priced_at)


@pytest.mark.parametrize(
    "error",
    [
        SourceUnavailableError("defillama", "down"),
        SourceDeniedError("defillama", "key"),
        SourcePayloadError("defillama", "odd"),
        SourceRateLimitedError("defillama", "slow down", retry_after_s=600),
    ],
)
def test_a_failing_provider_is_not_a_missing_price(
    shop: Shop, error: SourceUnavailableError
) -> None:
    token, ether = shop.hold(make_asset(), make_asset(contract=None))
    shop.llama.error = error
    shop.binance.prices = {ETHER: "2000"}

    report = shop.refresh()

    assert (report.priced, report.unknown, report.unanswered, report.left) == (1, 0, 1, 1)
    assert [problem.code for problem in report.problems] == [error.code]
    assert (shop.price(token).state, shop.price(token).misses) == ("new", 0)
    assert shop.price(ether).source == "binance"

    shop.llama.error = None
    shop.llama.prices = {shop.key(token): "1"}
    shop.database.advance(601)
    assert shop.refresh().priced >= 1
    assert shop.price(token).state == "priced"


def test_a_provider_that_is_down_is_called_once_a_refresh(shop: Shop) -> None:
    shop.tokens(350)
    shop.llama.error = SourceUnavailableError("defillama", "down")
    shop.gecko.error = SourceUnavailableError("coingecko", "down")

    report = shop.refresh()

    assert report.calls == {"defillama": 1, "coingecko": 1}
    assert report.left == 350


def test_a_short_wait_is_waited_and_a_long_one_is_not(shop: Shop) -> None:
    (token,) = shop.tokens(1)
    shop.llama.prices = {shop.key(token): "1"}
    shop.llama.error = SourceRateLimitedError("defillama", "slow down", retry_after_s=2)

    def better() -> None:
        if len(shop.llama.asked) == 2:
            shop.llama.error = None

    shop.llama.hook = better
    began = shop.database.clock.monotonic()

    assert shop.refresh().priced == 1
    assert shop.database.clock.monotonic() - began >= 2


def test_a_provider_whose_day_is_used_up_is_named_and_left_alone_until_the_next(
    shop: Shop,
) -> None:
    clock = shop.database.clock
    shop.gate = Pacer(clock, {}, {"defillama": 1})
    (first,) = shop.tokens(1)
    shop.llama.prices[shop.key(first)] = "1.5"
    assert shop.refresh().priced == 1
    (second,) = shop.tokens(1)
    shop.llama.prices[shop.key(second)] = "1.5"

    report = shop.refresh()

    assert (len(shop.llama.asked), report.unanswered) == (1, 1)
    assert [problem.code for problem in report.problems] == ["quota_used_up"]
    shop.database.advance(86_400)
    assert shop.refresh().priced == 2
