"""Which quote is the price, and how far it is to be relied on."""

from datetime import timedelta
from decimal import Decimal

import pytest

from shared.prices.judge import DOUBTED, Told, is_good, judged
from shared.sources.base import Quote
from tests.fakes import START


def told(source: str, price: str, confidence: str = "0.99", age_s: float = 60) -> Told:
    at = START - timedelta(seconds=age_s)
    return Told(source, Quote(Decimal(price), at, Decimal(confidence)))


def test_without_a_quote_there_is_no_price() -> None:
    assert judged([], START) is None
    assert not is_good([])


def test_the_first_that_is_relied_on_is_the_price() -> None:
    found = judged([told("a", "1", "0.4"), told("b", "1.01"), told("c", "1.02")], START)

    assert found is not None
    assert (found.source, found.flag, found.confidence) == ("b", None, Decimal("0.99"))


def test_one_that_nobody_relies_on_is_flagged() -> None:
    found = judged([told("a", "1", "0.1"), told("b", "1", "0.4")], START)

    assert found is not None
    assert (found.source, found.flag, found.confidence) == ("b", "low_confidence", Decimal("0.4"))
    assert not is_good([told("a", "1", "0.1")])


@pytest.mark.parametrize(
    ("other", "flag"),
    [("100", None), ("105", None), ("105.01", "disagreement"), ("95.24", None),
     ("95.2", "disagreement"), ("1e-20", "disagreement"), ("1e14", "disagreement")],
)  # fmt: skip
def test_the_bound_of_a_disagreement_is_the_same_both_ways(other: str, flag: str | None) -> None:
    for pair in ([told("a", "100"), told("b", other)], [told("a", other), told("b", "100")]):
        found = judged(pair, START)
        assert found is not None
        assert (found.source, found.flag) == ("a", flag)
        assert found.confidence == (DOUBTED if flag else Decimal("0.99"))


def test_clocks_may_differ_a_little_and_no_more() -> None:
    soon = judged([told("a", "1", age_s=-300)], START)

    assert soon is not None
    assert soon.priced_at == START
    assert judged([told("a", "1", age_s=-3600)], START) is None
    assert judged([told("a", "1", age_s=-3600), told("b", "9")], START) == judged(
        [told("b", "9")], START
    )
