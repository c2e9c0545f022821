"""Block hashes by which a stream notices that its settled part is not of this chain any more.

An anchor is fetched before the pages it vouches for. Old ones are kept at growing distances, so
that after a deep reorganisation the newest block that both chains share is found with few
questions instead of guessed.
"""

import json
from collections.abc import Callable
from typing import NamedTuple

KEPT = 12
FARTHER = 4


class Anchor(NamedTuple):
    """The hash that a block had."""

    block: int
    hash: bytes


def parse(text: str) -> list[Anchor]:
    """Anchors as stored in the stream row, oldest first."""
    return [Anchor(block, bytes.fromhex(hexed)) for block, hexed in json.loads(text)]


def dump(anchors: list[Anchor]) -> str:
    """The stored form."""
    return json.dumps(
        [[anchor.block, anchor.hash.hex()] for anchor in anchors], separators=(",", ":")
    )


def added(anchors: list[Anchor], new: Anchor) -> list[Anchor]:
    """The list with ``new`` in it, thinned so that distances from it grow by up to ``FARTHER``.

    One goes only when the next older is near enough without it. To ask of each its own distance
    would let none grow old: every addition thins anew what the last one left.
    """
    older = [anchor for anchor in anchors if anchor.block < new.block][::-1]
    kept: list[Anchor] = [new]
    for at, anchor in enumerate(older):
        near_enough = new.block - FARTHER * (new.block - kept[-1].block)
        if at + 1 == len(older) or older[at + 1].block < near_enough:
            kept.append(anchor)
    return kept[:KEPT][::-1]


def fork(anchors: list[Anchor], hash_of: Callable[[int], bytes | None]) -> list[Anchor] | None:
    """None when the newest anchor stands or nothing can be said; else the older ones that do."""
    for distance, anchor in enumerate(reversed(anchors)):
        now = hash_of(anchor.block)
        if now is None and distance == 0:
            return None
        if now == anchor.hash:
            return None if distance == 0 else anchors[: len(anchors) - distance]
    return [] if anchors else None
