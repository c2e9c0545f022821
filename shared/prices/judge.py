"""Which of several quotes is the price, and how far it can be relied on."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from schema.queries.price import Priced
from shared.sources.base import Quote

# Two honest markets of a native coin are never so far apart; DefiLlama's own bound is unknown.
MOST_APART = Decimal("0.05")
LEAST_CONFIDENCE = Decimal("0.5")
DOUBTED = Decimal("0.3")
CLOCKS_APART = timedelta(minutes=10)

DISAGREEMENT = "disagreement"
LOW_CONFIDENCE = "low_confidence"


class Told(NamedTuple):
    """What one provider told."""

    source: str
    quote: Quote


def is_good(told: Sequence[Told]) -> bool:
    """Whether there is a price that its own provider relies on."""
    return any(one.quote.confidence >= LEAST_CONFIDENCE for one in told)


def judged(told: Sequence[Told], now: datetime) -> Priced | None:
    """The price: the first that is relied on, else the best of the others.

    One that another provider contradicts by more than ``MOST_APART`` is kept, flagged and doubted.
    A time ahead of ours by more than clocks differ is nonsense, and so is its price.
    """
    believed = [one for one in told if one.quote.at <= now + CLOCKS_APART]
    if not believed:
        return None
    relied_on = [one for one in believed if one.quote.confidence >= LEAST_CONFIDENCE]
    best = (relied_on or sorted(believed, key=lambda one: -one.quote.confidence))[0]
    price, confidence, flag = best.quote.price_usd, best.quote.confidence, None
    if any(_apart(price, one.quote.price_usd) > MOST_APART for one in believed):
        confidence, flag = min(confidence, DOUBTED), DISAGREEMENT
    elif confidence < LEAST_CONFIDENCE:
        flag = LOW_CONFIDENCE
    return Priced(price, best.source, min(best.quote.at, now), confidence, flag)


def _apart(one: Decimal, other: Decimal) -> Decimal:
    """The difference as a share of the smaller price."""
    return abs(one - other) / min(one, other)
