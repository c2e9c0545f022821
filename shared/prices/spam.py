"""Which assets are not worth asking for, and how long to wait before asking again.

Three rules, none of which touches a native coin or what has a price already:

1. A link, or a lure together with a web address, in name or symbol: never asked for.
2. A lure or a web address alone may be honest (yearn.finance): asked for once, and given up at the
   first answer without a price.
3. Anything else is given up after ``GIVEN_UP_AFTER`` answers without a price, which with the
   growing waits is about three weeks.

``tallybook prices refresh --again`` undoes rules 2 and 3. NFTs are not asked for at all.
"""

import re
from enum import IntEnum

GIVEN_UP_AFTER = 9
SHORTEST_WAIT_S = 3600.0
LONGEST_WAIT_S = 7 * 86_400.0

LINK = re.compile(r"https?:|\bwww\.|\bt\.me\b|\bbit\.ly\b", re.IGNORECASE)
SITE = re.compile(
    r"[a-z0-9-]\s?\.\s?(com|org|net|io|xyz|app|fi|finance|site|online|live|top|vip|pro|club|info"
    r"|co|me|us|cc|gift|claims?|events?|website|space|lol|live|eth\.link)\b",
    re.IGNORECASE,
)
LURE = re.compile(
    r"\b(claim(s|ed|ing)?|air\s?drops?|visit|vouchers?|redeem|eligible|rewards?|bonus|gifts?"
    r"|giveaway|free mint|winners?)\b",
    re.IGNORECASE,
)


class Suspicion(IntEnum):
    """How much a name looks like bait."""

    NONE = 0
    SOME = 1
    SURE = 2


def suspicion(symbol: str | None, name: str | None) -> Suspicion:
    """What symbol and name make of an asset."""
    words = f"{symbol or ''} {name or ''}"
    lures, is_site = bool(LURE.search(words)), bool(SITE.search(words))
    if LINK.search(words) or (lures and is_site):
        return Suspicion.SURE
    return Suspicion.SOME if lures or is_site else Suspicion.NONE


def is_given_up(misses: int, suspected: Suspicion) -> bool:
    """Whether so many answers without a price are enough."""
    return misses >= (1 if suspected else GIVEN_UP_AFTER)


def wait_s(misses: int) -> float:
    """How long to leave an asset alone after so many answers without a price."""
    return min(SHORTEST_WAIT_S * 2.0 ** max(0, misses - 1), LONGEST_WAIT_S)
