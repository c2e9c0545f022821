"""Amounts as text: exact whatever their size, and never a float."""

from decimal import Context, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.money import plain, scaled, worth

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


@pytest.mark.parametrize(
    ("number", "text"),
    [("1E-7", "0.0000001"), ("1E+3", "1000"), ("1.500", "1.5"), ("0.99", "0.99"), ("20", "20"),
     ("-2.50", "-2.5"), ("2335.266275905969", "2335.266275905969")],
)  # fmt: skip
def test_a_decimal_is_shown_without_an_exponent(number: str, text: str) -> None:
    assert plain(Decimal(number)) == text


@given(
    st.integers(-(2**300), 2**300),
    st.integers(0, 80),
    st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**15), max_value=10**15),
)
def test_a_value_has_every_digit(amount_raw: int, decimals: int, price: Decimal) -> None:
    shown = worth(amount_raw, decimals, price)

    expected = EXACT.multiply(EXACT.scaleb(Decimal(amount_raw), -decimals), price)
    assert EXACT.create_decimal(shown) == expected
    assert "e" not in shown.lower()


@pytest.mark.parametrize("price", ["NaN", "Infinity"])
def test_what_is_no_number_has_no_value(price: str) -> None:
    with pytest.raises(ValueError, match="must be a number"):
        worth(1, 18, Decimal(price))
