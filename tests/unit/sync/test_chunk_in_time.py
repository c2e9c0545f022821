"""Statements that are ended because the box is: what became of them is read, not guessed."""

import pytest
from sqlalchemy import text

from shared.clock import Deadline
from shared.errors import DeadlineExceededError
from shared.sync.ending import FEWEST_PAGE_ROWS
from tests.benches import ROWS, Bench
from tests.conftest import Database

BOX_S = 100.0


@pytest.fixture
def bench(database: Database) -> Bench:
    return Bench(database)


def late() -> None:
    message = "the step was ended"
    raise DeadlineExceededError(message)


def ended_with(bench: Bench) -> None:
    """The end of the box comes while a step is under way."""
    bench.database.clock.advance(BOX_S)
    late()


def test_page_that_stands_although_it_was_ended_is_counted(bench: Bench) -> None:
    bench.unit.after["page"] = late

    [chunk] = bench.step(BOX_S)

    assert (chunk.outcome, chunk.state) == ("done", "up_to_date")
    assert "page again" not in bench.unit.labels
    assert len(bench.held()) == len(ROWS)
    assert bench.holds_what_the_provider_says()


def test_page_that_was_ended_is_left_to_the_next_run(bench: Bench) -> None:
    def after_the_first() -> None:
        bench.unit.before["page"] = lambda: ended_with(bench)

    bench.unit.after["page"] = after_the_first

    [chunk] = bench.step(BOX_S)

    assert (chunk.outcome, chunk.state, chunk.pages) == ("unfinished", "pending", 1)
    assert chunk.error is None
    assert 0 < len(bench.held()) < len(ROWS)
    assert "page again" not in bench.unit.labels
    [chunk] = bench.step(BOX_S)
    assert chunk.outcome == "done"
    assert bench.holds_what_the_provider_says()


def test_first_page_that_takes_a_whole_box_is_asked_for_smaller(bench: Bench) -> None:
    bench.unit.before["page"] = lambda: ended_with(bench)

    [chunk] = bench.step(BOX_S)

    assert (chunk.outcome, chunk.pages) == ("snoozed", 0)
    assert chunk.error is not None
    assert chunk.error[0] == "box_too_short"
    assert bench.stream()["page_rows"] == FEWEST_PAGE_ROWS


def test_page_that_was_ended_within_its_box_is_tried_again_after_a_while(bench: Bench) -> None:
    bench.unit.before["page"] = late

    [chunk] = bench.step(BOX_S)

    assert (chunk.outcome, chunk.state) == ("snoozed", "snoozed")
    assert chunk.error is not None
    assert chunk.error[0] == "deadline"


@pytest.mark.parametrize("step", ["lease", "standing"])
def test_stream_that_is_not_had_in_time_ends_the_run_and_stays_in_the_queue(
    bench: Bench, step: str
) -> None:
    prefix = "" if bench.database.dialect == "sqlite" else "tallybook."
    with bench.database.engine.begin() as connection:
        query = f"UPDATE {prefix}stream SET resting_since = created_at WHERE id <> {bench.id}"
        connection.execute(text(query))
    sync = bench.rig.engine(lambda _: bench.source)
    sync.sweep()
    if step == "standing":
        bench.set("due_at = due_at, resting_since = created_at")
    bench.unit.before[step] = late

    report = sync.run(Deadline.after(bench.database.clock, BOX_S))

    assert (report.chunks, report.more) == ((), True)
    stats = bench.rig.seams.queue.stats()
    assert (stats.claimed, stats.buried, stats.ready + stats.delayed) == (0, 0, 1)


def test_stream_that_is_not_leased_in_time_ends_a_run_over_named_ones(bench: Bench) -> None:
    bench.unit.before["lease"] = late

    assert bench.step(BOX_S) == []
    assert [chunk.outcome for chunk in bench.step(BOX_S)] == ["done"]


def test_stream_that_is_not_closed_in_time_is_due_when_its_lease_ends(bench: Bench) -> None:
    bench.unit.before["close"] = late

    [chunk] = bench.step(BOX_S)

    lease_s = bench.rig.settings.lease_s
    assert (chunk.outcome, chunk.state, chunk.due_in_s) == ("unfinished", "pending", lease_s)
    assert chunk.error is not None
    assert chunk.error[0] == "deadline"
    assert bench.step(BOX_S) == []
    bench.database.advance(lease_s + 1)
    [chunk] = bench.step(BOX_S)
    assert chunk.outcome == "done"
    assert bench.holds_what_the_provider_says()
