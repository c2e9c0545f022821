"""The walk: whatever pages and windows look like, every block is asserted once and whole."""

from collections.abc import Callable
from contextlib import suppress
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.types import MovementKind
from shared.errors import BlockTooLargeError, SourcePayloadError
from shared.sources.base import NATIVE, Draft, RangeQuery, Row
from shared.sync.pages import Cut, Walk

ENOUGH = 500


class TooManyRequestsError(AssertionError):
    """The walk does not end."""


def row(block: int, tx: int = 0, amount: int = 1, identity: bytes = b"") -> Row:
    tx_hash = bytes([block % 256, tx % 256, tx // 256])
    draft = Draft(tx, tx_hash, MovementKind.ERC20, 1, NATIVE, b"", amount, identity)
    return Row(block, block * 12, tx_hash, None, (draft,))


def served(rows: list[Row], query: RangeQuery, cap: int | None = None) -> list[Row]:
    """An honest provider's answer; ``cap`` is the most it shows of a page."""
    inside = [each for each in rows if query.lo <= each.block <= query.hi]
    inside = inside[::-1] if query.descending else inside
    at = (query.page - 1) * query.rows
    return inside[at : at + query.rows][: cap or query.rows]


def walked(
    walk: Walk, answer: Callable[[RangeQuery], list[Row]], ahead: int = 1
) -> tuple[list[Cut], list[RangeQuery]]:
    """Everything asserted, and every request that was needed for it."""
    cuts, asked = [], []
    while not walk.done:
        queries = walk.upcoming(ahead)
        assert 1 <= len(queries) <= ahead
        asked.append(queries[0])
        if len(asked) >= ENOUGH:
            raise TooManyRequestsError
        cut = walk.feed(answer(queries[0]))
        cuts += [cut] if cut else []
    return cuts, asked


def assert_whole(cuts: list[Cut], rows: list[Row], lo: int, head: int) -> None:
    assert [each for cut in cuts for each in cut.rows] == [
        each for each in rows if lo <= each.block <= head
    ]
    expected = lo
    for cut in cuts:
        assert cut.lo == expected
        assert cut.hi >= cut.lo
        assert all(cut.lo <= each.block <= cut.hi for each in cut.rows)
        expected = cut.hi + 1
    assert expected == head + 1


def new_walk(lo: int = 0, head: int = 100, page_rows: int = 4, window_rows: int = 12) -> Walk:
    return Walk("test", lo, head, page_rows=page_rows, window_rows=window_rows)


@st.composite
def histories(draw: st.DrawFn) -> list[Row]:
    """Rows in block order, some blocks with several, equal ones among them."""
    counts = draw(st.dictionaries(st.integers(0, 100), st.integers(1, 7), max_size=25))
    return [
        row(block, tx=number // 2, amount=draw(st.integers(1, 2)))
        for block in sorted(counts)
        for number in range(counts[block])
    ]


@given(histories(), st.integers(3, 8), st.integers(1, 5), st.integers(1, 3), st.integers(0, 60))
def test_every_block_is_asserted_once_whole_and_in_order(
    rows: list[Row], page_rows: int, pages: int, ahead: int, lo: int
) -> None:
    # A window of 14 rows shows any of these blocks from its two ends.
    walk = new_walk(lo=lo, page_rows=page_rows, window_rows=max(14, page_rows * pages))

    cuts, _ = walked(walk, lambda query: served(rows, query), ahead)

    assert_whole(cuts, rows, lo, 100)


@given(histories(), st.integers(8, 10))
def test_provider_that_caps_its_pages_silently_loses_nothing(rows: list[Row], cap: int) -> None:
    walk = new_walk(page_rows=20, window_rows=200)

    cuts, _ = walked(walk, lambda query: served(rows, query, cap))

    assert_whole(cuts, rows, 0, 100)


def test_empty_history_takes_one_request() -> None:
    cuts, asked = walked(new_walk(), lambda _: [])

    assert cuts == [Cut(0, 100, [])]
    assert asked == [RangeQuery(0, 100, 1, 4)]


def test_short_page_is_the_end_only_when_nothing_follows_it() -> None:
    rows = [row(5), row(9)]

    cuts, asked = walked(new_walk(), lambda query: served(rows, query))

    assert_whole(cuts, rows, 0, 100)
    assert asked == [RangeQuery(0, 100, 1, 4), RangeQuery(0, 100, 2, 2)]


@given(histories(), st.integers(2, 9), st.integers(0, 2**32))
def test_answers_cut_at_random_lose_nothing(rows: list[Row], page_rows: int, seed: int) -> None:
    rng = Random(seed)

    def answer(query: RangeQuery) -> list[Row]:
        whole = served(rows, query)
        cut = whole and not query.descending and rng.random() < 0.3
        return whole[: rng.randint(1, len(whole))] if cut else whole

    # Cut at the wrong place, two equal transfers look like a page that came twice: refused then.
    with suppress(SourcePayloadError):
        cuts, _ = walked(new_walk(page_rows=page_rows, window_rows=40), answer)
        assert_whole(cuts, rows, 0, 100)


def test_rows_that_vanish_between_two_answers_are_an_error() -> None:
    window = [[row(block + at) for block in range(4)] for at in (1, 5, 9)]
    answers = iter([*window, []])

    with pytest.raises(SourcePayloadError, match="block 12"):
        walked(new_walk(), lambda _: next(answers))


def test_page_that_goes_back_is_an_error() -> None:
    answers = iter([[row(block) for block in (1, 2, 3, 9)], [row(4)]])

    with pytest.raises(SourcePayloadError, match="goes back"):
        walked(new_walk(), lambda _: next(answers))


def test_row_repeated_by_a_shift_between_pages_is_not_counted_twice() -> None:
    before = [row(block) for block in (1, 2, 3, 4, 5, 6)]
    late = [row(0), *before]
    calls = 0

    def answer(query: RangeQuery) -> list[Row]:
        nonlocal calls
        calls += 1
        return served(before if calls == 1 else late, query)

    cuts, _ = walked(new_walk(), answer)

    assert [each for cut in cuts for each in cut.rows] == before


@given(histories(), st.integers(1, 5), st.integers(4, 12), st.booleans())
def test_pages_that_repeat_the_end_of_the_one_before_are_never_counted_twice(
    rows: list[Row], repeated: int, page_rows: int, adds_up: bool
) -> None:
    def answer(query: RangeQuery) -> list[Row]:
        inside = [each for each in rows if query.lo <= each.block <= query.hi]
        inside = inside[::-1] if query.descending else inside
        times = query.page - 1 if adds_up else min(1, query.page - 1)
        at = max(0, (query.page - 1) * query.rows - repeated * times)
        return inside[at : at + query.rows]

    with suppress(SourcePayloadError, BlockTooLargeError, TooManyRequestsError):
        cuts, _ = walked(new_walk(page_rows=page_rows, window_rows=60), answer)
        assert_whole(cuts, rows, 0, 100)


@given(histories(), st.integers(2, 12))
def test_provider_that_ignores_the_page_number_is_never_believed(
    rows: list[Row], page_rows: int
) -> None:
    def answer(query: RangeQuery) -> list[Row]:
        return served(rows, query._replace(page=1))

    with suppress(SourcePayloadError, BlockTooLargeError):
        cuts, _ = walked(new_walk(page_rows=page_rows, window_rows=60), answer)
        assert_whole(cuts, rows, 0, 100)


def test_equal_transfers_across_a_page_border_are_all_kept() -> None:
    rows = [row(3, tx=min(number, 5), amount=7) for number in range(12)]

    cuts, _ = walked(new_walk(page_rows=10, window_rows=100), lambda query: served(rows, query))

    assert_whole(cuts, rows, 0, 100)


def test_block_larger_than_a_window_is_read_from_both_ends() -> None:
    rows = [row(2), *(row(7, tx=number // 2) for number in range(20)), row(9)]

    cuts, asked = walked(new_walk(), lambda query: served(rows, query))

    assert_whole(cuts, rows, 0, 100)
    assert any(query.descending for query in asked)


def test_block_that_no_window_can_hold_is_a_named_error() -> None:
    rows = [row(7, tx=number) for number in range(30)]

    with pytest.raises(BlockTooLargeError, match="block 7"):
        walked(new_walk(), lambda query: served(rows, query))


def test_one_transaction_that_fills_both_ends_is_a_named_error() -> None:
    rows = [row(7, tx=1, amount=number) for number in range(20)]

    with pytest.raises(BlockTooLargeError):
        walked(new_walk(), lambda query: served(rows, query))


def test_pages_of_a_window_are_asked_for_together_only_while_they_come_full() -> None:
    walk = new_walk()
    assert len(walk.upcoming(3)) == 1

    walk.feed([row(block) for block in range(4)])

    assert [query.page for query in walk.upcoming(3)] == [2, 3]
