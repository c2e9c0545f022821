"""A box is filled, never overrun, and never left idle because of what an earlier one was like."""

import pytest

from shared.clock import Deadline
from shared.sync.box import MARGIN, Box
from tests.fakes import FakeClock


def new_box(
    clock: FakeClock, seconds: float = 10.0, reserve_s: float = 0.0, first_guess_s: float = 0.0
) -> Box:
    return Box(
        clock,
        Deadline.after(clock, seconds),
        reserve_s=reserve_s,
        first_guess_s=first_guess_s,
    )


def test_fresh_box_takes_a_page_and_an_over_one_does_not(clock: FakeClock) -> None:
    box = new_box(clock)
    assert box.fits_page()

    clock.advance(10)

    assert not box.fits_page()


def test_page_fits_while_a_slow_one_would_end_in_time(clock: FakeClock) -> None:
    box = new_box(clock)
    box.took(2.0)
    clock.advance(10 - 2.0 * MARGIN - 0.01)
    assert box.fits_page()

    clock.advance(0.02)

    assert not box.fits_page()


def test_reserve_is_kept_free(clock: FakeClock) -> None:
    box = new_box(clock, reserve_s=2.0)

    assert box.length_s == pytest.approx(8.0)
    clock.advance(8)
    assert not box.fits_page()


def test_reserve_larger_than_the_box_leaves_half_of_it(clock: FakeClock) -> None:
    box = new_box(clock, seconds=0.4, reserve_s=0.5)

    assert box.length_s == pytest.approx(0.2)
    assert box.fits_page()


def test_estimate_leaves_out_one_slow_page_in_ten(clock: FakeClock) -> None:
    box = new_box(clock)
    for seconds in (9.0, *[1.0] * 8):
        box.took(seconds)
    assert box.page_s() == 9.0

    box.took(1.0)

    assert box.page_s() == 1.0


def test_estimate_forgets_what_is_long_ago(clock: FakeClock) -> None:
    box = new_box(clock)
    for seconds in (*[9.0] * 20, *[1.0] * 20):
        box.took(seconds)

    assert box.page_s() == 1.0


def test_guess_from_an_earlier_box_serves_until_a_page_was_timed(clock: FakeClock) -> None:
    box = new_box(clock, first_guess_s=3.0)
    assert box.page_s() == 3.0

    clock.advance(7)
    assert not box.fits_page()
    box.took(0.5)

    assert box.page_s() == 0.5
    assert box.fits_page()


@pytest.mark.parametrize("guess_s", [7.9, 8.1, 100.0])
def test_one_page_slower_than_the_box_does_not_keep_the_next_box_idle(
    clock: FakeClock, guess_s: float
) -> None:
    assert new_box(clock, first_guess_s=guess_s).fits_page()
