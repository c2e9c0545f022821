"""Amounts as text: exact whatever their size, and never a float."""

from decimal import Context, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.money import scaled

EXACT = Context(prec=200)


@pytest.mark.parametrize(
    ("amount_raw", "decimals", "text"),
    [
        (0, 18, "0"),
        (1, 18, "0.000000000000000001"),
        (-1, 18, "-0.000000000000000001"),
        (10**18, 18, "1"),
        (-15 * 10**17, 18, "-1.5"),
        (100, 2, "1"),
        (100, 0, "100"),
        (-100, None, "-100"),
        (2**256 - 1, 6, f"{(2**256 - 1) // 10**6}.639935"),
    ],
)
def test_an_amount_is_shown_in_whole_coins(
    amount_raw: int, decimals: int | None, text: str
) -> None:
    assert scaled(amount_raw, decimals) == text


@given(st.integers(-(2**300), 2**300), st.integers(0, 80))
def test_nothing_is_lost_on_the_way_to_text(amount_raw: int, decimals: int) -> None:
    shown = scaled(amount_raw, decimals)

    assert EXACT.scaleb(EXACT.create_decimal(shown), decimals) == Decimal(amount_raw)
    assert "e" not in shown.lower()
    if decimals and "." in shown:
        assert not shown.endswith(("0", "."))
