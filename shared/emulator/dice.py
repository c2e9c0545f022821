"""Chance that is the same on every machine: one seed, one sequence."""

import hashlib
import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Dice:
    """A seeded generator that uses only the two primitives that never changed between Pythons."""

    def __init__(self, seed: str) -> None:
        source = random.Random(seed)  # noqa: S311 - a made-up world, nothing secret
        self.random = source.random
        self.bits = source.getrandbits

    def below(self, bound: int) -> int:
        """A whole number in 0..bound-1, for bounds under 2^53."""
        return int(self.random() * bound)

    def chance(self, odds: float) -> bool:
        """True with the given odds."""
        return self.random() < odds

    def pick(self, items: Sequence[T]) -> T:
        """One of the items."""
        return items[int(self.random() * len(items))]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """The items in another order."""
        left = list(items)
        for last in range(len(left) - 1, 0, -1):
            other = int(self.random() * (last + 1))
            left[last], left[other] = left[other], left[last]
        return left


def digest(*parts: object) -> bytes:
    """32 bytes made of the parts; stable across processes."""
    return hashlib.sha256("/".join(map(str, parts)).encode()).digest()


def address(*parts: object) -> bytes:
    """A 20-byte account made of the parts."""
    return digest("address", *parts)[:20]
