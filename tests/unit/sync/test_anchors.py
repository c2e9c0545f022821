"""Anchors: few are kept, far apart, and they find the newest block that two chains share."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.sync import anchors
from shared.sync.anchors import FARTHER, KEPT, Anchor


def anchor(block: int) -> Anchor:
    return Anchor(block, block.to_bytes(32))


def kept_after(blocks: list[int]) -> list[Anchor]:
    found: list[Anchor] = []
    for block in blocks:
        found = anchors.added(found, anchor(block))
    return found


def test_anchors_survive_being_stored() -> None:
    found = [anchor(1), anchor(500)]

    assert anchors.parse(anchors.dump(found)) == found
    assert anchors.parse("[]") == []


@given(st.lists(st.integers(1, 10_000), min_size=1, max_size=60))
def test_what_is_kept_is_short_ordered_and_ends_with_the_newest(distances: list[int]) -> None:
    blocks = [sum(distances[: at + 1]) for at in range(len(distances))]

    kept = kept_after(blocks)

    assert kept[-1] == anchor(blocks[-1])
    assert len(kept) <= KEPT
    assert kept == sorted(set(kept))
    assert set(kept) <= {anchor(block) for block in blocks}


@pytest.mark.parametrize("step", [1, 6, 25, 300])
def test_after_any_number_of_passes_the_next_anchor_is_at_most_four_times_as_far(
    step: int,
) -> None:
    kept: list[Anchor] = []
    for number in range(1, 1000):
        kept = anchors.added(kept, anchor(number * step))

        distances = [number * step - each.block for each in kept[-2::-1]]

        assert all(later <= FARTHER * earlier for earlier, later in pairwise(distances))
        # The oldest is not crowded out.
        assert kept[0] == anchor(step)
        # And few are kept for that: every second is more than four times as far.
        pairs = zip(distances, distances[2:], strict=False)
        assert all(later > FARTHER * earlier for earlier, later in pairs)


def test_an_anchor_at_or_behind_the_new_one_gives_way() -> None:
    kept = anchors.added([anchor(5), anchor(9)], Anchor(9, b"other"))

    assert kept == [anchor(5), Anchor(9, b"other")]
    assert anchors.added(kept, anchor(3)) == [anchor(3)]


def test_nothing_is_said_when_the_newest_anchor_stands() -> None:
    asked: list[int] = []

    def hash_of(block: int) -> bytes | None:
        asked.append(block)
        return anchor(block).hash

    assert anchors.fork([anchor(5), anchor(9)], hash_of) is None
    assert asked == [9]


def test_nothing_is_said_when_the_provider_cannot_tell() -> None:
    assert anchors.fork([anchor(5), anchor(9)], lambda _: None) is None
    assert anchors.fork([], lambda _: b"any") is None


def test_the_anchors_that_still_stand_are_what_both_chains_share() -> None:
    known = [anchor(block) for block in (1, 5, 9, 12)]

    def hash_of(block: int) -> bytes | None:
        return anchor(block).hash if block <= 5 else b"changed"

    assert anchors.fork(known, hash_of) == known[:2]


def test_an_older_anchor_that_cannot_be_had_is_passed_by() -> None:
    known = [anchor(block) for block in (1, 5, 9)]
    answers = {9: b"changed", 5: None, 1: anchor(1).hash}

    assert anchors.fork(known, answers.__getitem__) == known[:1]


def test_nothing_is_shared_when_no_anchor_stands() -> None:
    assert anchors.fork([anchor(5), anchor(9)], lambda _: b"changed") == []
