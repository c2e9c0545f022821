"""Texts and numbers of strangers."""

from hypothesis import given
from hypothesis import strategies as st

from shared.sources.etherscan_fields import cleaned, decimals, name, number, symbol


@given(st.text(st.characters(exclude_categories=())), st.integers(1, 128))
def test_cleaned_text_fits_a_database(text: str, longest: int) -> None:
    found = cleaned(text, longest)

    if found is not None:
        found.encode("utf-8")
        assert "\0" not in found
        assert 0 < len(found) <= longest
        assert cleaned(found, longest) == found


def test_names_are_cut_and_cleaned() -> None:
    assert symbol("U\0S\ud800D\u202eC") == "USDC"
    assert symbol("x" * 1000) == "x" * 64
    assert name("x" * 10_000) == "x" * 128
    assert name(" \n\t ") is None
    assert symbol("") is None
    assert symbol(None) is None
    assert symbol(7) == "7"
    assert name("👩\u200d🚀 メタ") == "👩\u200d🚀 メタ"


def test_decimals_are_a_small_number_or_unknown() -> None:
    assert [decimals(value) for value in ("18", "0", 6, "255", "256", "", "x", None)] == [
        18,
        0,
        6,
        255,
        None,
        None,
        None,
        None,
    ]


@given(st.integers(0, 2**256 - 1))
def test_numbers_are_exact(value: int) -> None:
    assert number("value", str(value)) == value
