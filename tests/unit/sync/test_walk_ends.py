"""A block that fills a window, and providers that change or cap it while it is read."""

from collections.abc import Callable
from contextlib import nullcontext, suppress

import pytest

from shared.errors import BlockTooLargeError, SourcePayloadError
from shared.sources.base import RangeQuery, Row
from shared.sync.pages import Cut, Walk
from tests.rigs import coin_row

Answers = Callable[[RangeQuery], list[Row]]
EQUAL = 6
CROWDED = [coin_row(7, tx) for tx in range(20)]


def walked(answer: Answers, *, page_rows: int = 4, window_rows: int = 12) -> list[Row]:
    walk = Walk("x", 0, 100, page_rows=page_rows, window_rows=window_rows)
    cuts: list[Cut] = []
    for _ in range(300):
        if walk.done:
            return [row for cut in cuts for row in cut.rows]
        cut = walk.feed(answer(walk.upcoming(1)[0]))
        cuts += [cut] if cut else []
    message = "the walk does not end"
    raise AssertionError(message)


def served(rows: list[Row], query: RangeQuery, cap: int = 1000) -> list[Row]:
    """A provider whose pages are ``cap`` rows at most, and which skips by what it shows."""
    inside = [row for row in rows if query.lo <= row.block <= query.hi]
    inside = inside[::-1] if query.descending else inside
    size = min(query.rows, cap)
    return inside[(query.page - 1) * size : query.page * size]


@pytest.mark.parametrize("shown", [0, 2])
def test_a_block_that_shrinks_while_it_is_read_is_read_again_later(shown: int) -> None:
    def answer(query: RangeQuery) -> list[Row]:
        return served(CROWDED, query)[: shown if query.descending else None]

    # Not "too large": that would stop the stream for good.
    with pytest.raises(SourcePayloadError, match="block 7 has fewer rows"):
        walked(answer)


def test_a_block_that_vanishes_while_it_is_read_is_read_again_later() -> None:
    asked: list[RangeQuery] = []

    def answer(query: RangeQuery) -> list[Row]:
        asked.append(query)
        rows = [coin_row(5), coin_row(6), *CROWDED]
        return served(rows, query) if len(asked) <= 3 else []

    with pytest.raises(SourcePayloadError, match="block 7 had rows a moment ago"):
        walked(answer)


def test_a_block_is_too_large_only_when_both_its_ends_were_read_to_the_last_page() -> None:
    with pytest.raises(BlockTooLargeError, match="24 rows"):
        walked(lambda query: served([coin_row(7, tx) for tx in range(30)], query))


@pytest.mark.parametrize("cap", [1, 2, 3, 4, 7, 10])
@pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 30])
def test_a_provider_that_skips_by_its_own_cap_repeats_nothing(cap: int, count: int) -> None:
    # Equal transfers in one transaction: a row served twice would count twice.
    rows = [coin_row(block, tx=block // 5) for block in range(count)]
    rows += [coin_row(count, tx=9) for _ in range(EQUAL)]

    # A whole page of equal transfers twice over looks like a page that came twice: refused.
    with suppress(SourcePayloadError) if cap < EQUAL else nullcontext():
        assert walked(lambda query: served(rows, query, cap), page_rows=9, window_rows=63) == rows


@pytest.mark.parametrize("page_rows", [1, 2, 3, 5])
def test_equal_transfers_that_fill_several_pages_are_no_repeated_page(page_rows: int) -> None:
    rows = [coin_row(3), *(coin_row(7, tx=1) for _ in range(9)), coin_row(8)]

    assert walked(lambda query: served(rows, query), page_rows=page_rows, window_rows=30) == rows


def test_a_provider_that_ignores_the_page_number_is_an_error() -> None:
    rows = [coin_row(block) for block in range(20)]

    with pytest.raises(SourcePayloadError, match="page 2"):
        walked(lambda query: served(rows, query._replace(page=1)))


def test_equal_transfers_in_a_block_larger_than_a_window_are_all_kept() -> None:
    rows = [coin_row(7, tx=number // 5) for number in range(20)]

    assert walked(lambda query: served(rows, query)) == rows
