"""What looks like spam, and what only looks a little like it."""

import pytest

from shared.prices.spam import (
    GIVEN_UP_AFTER,
    LONGEST_WAIT_S,
    Suspicion,
    is_given_up,
    suspicion,
    wait_s,
)


@pytest.mark.parametrize(
    ("symbol", "name"),
    [
        ("$ USDC", "Visit https://claim-usdc.example to claim"),
        ("USDC", "www.free-usdc.example"),
        ("t.me/gift", None),
        ("ETH", "ETH Gift - ethereum-gift.xyz"),
        ("$ aidrop", "Claim your rewards at usdc-bonus . com"),
        (None, "CLAIM ON STETH.LIVE"),
    ],
)
def test_a_link_or_a_lure_with_a_site_is_bait(symbol: str | None, name: str | None) -> None:
    assert suspicion(symbol, name) is Suspicion.SURE


@pytest.mark.parametrize(
    ("symbol", "name"),
    [("YFI", "yearn.finance"), ("CRO", "Crypto.com Coin"), ("RWD", "Reward Token"),
     ("AIR", "Airdrop")],
)  # fmt: skip
def test_one_of_the_two_alone_may_be_honest(symbol: str, name: str) -> None:
    assert suspicion(symbol, name) is Suspicion.SOME


@pytest.mark.parametrize(
    ("symbol", "name"),
    [("USDC", "USD Coin"), ("WETH", "Wrapped Ether"), (None, None), ("", ""), ("$", "Dollar"),
     ("st.ETH", "Staked Ether"), ("COMP", "Compound"), ("USDC/USDf", "Curve.fi-like LP v1.0")],
)  # fmt: skip
def test_honest_names_are_not_suspected(symbol: str | None, name: str | None) -> None:
    expected = Suspicion.SOME if name and ".fi" in name else Suspicion.NONE
    assert suspicion(symbol, name) is expected


def test_a_suspect_is_given_up_at_once_and_others_late() -> None:
    assert is_given_up(1, Suspicion.SOME)
    assert not is_given_up(GIVEN_UP_AFTER - 1, Suspicion.NONE)
    assert is_given_up(GIVEN_UP_AFTER, Suspicion.NONE)


def test_waits_grow_up_to_a_week() -> None:
    waits = [wait_s(misses) for misses in range(1, 40)]

    assert waits == sorted(waits)
    assert (waits[0], waits[1], waits[-1]) == (3600, 7200, LONGEST_WAIT_S)
