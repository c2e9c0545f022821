"""Crash at every seam of a sync, before and after its effect, and recover with fresh runs."""

import pytest

from tests.simulation.plans import QUIET
from tests.simulation.schedule import DEPTH, Schedule
from tests.simulation.shelf import shelf

SEED = 11
KINDS = ("first sync", "incremental sync", "reorganisation", "rewind", "change of provider")


def begun(kind: str, *, by_queue: bool = False) -> Schedule:
    """A schedule that stands before the sync in question."""
    schedule = Schedule(SEED, QUIET)
    schedule.calm = True
    schedule.by_queue = by_queue
    if kind == "first sync":
        return schedule
    schedule.sync_once()
    if kind == "change of provider":
        schedule.changing = True
        return schedule
    if kind == "reorganisation":
        schedule.world.reorg(DEPTH - 2)
    elif kind == "rewind":
        schedule.world.reorg(DEPTH + 4)
    schedule.world.grow(5)
    return schedule


@pytest.mark.parametrize("by_queue", [False, True], ids=["by ledger", "by queue"])
@pytest.mark.parametrize("kind", KINDS)
def test_crash_at_any_step_leaves_nothing_that_a_fresh_run_does_not_mend(
    kind: str, by_queue: bool
) -> None:
    steps = begun(kind, by_queue=by_queue).sync_once()
    assert steps > 20

    for step in range(1, steps + 1):
        schedule = begun(kind, by_queue=by_queue)
        schedule.sync_once(crash_at=step)
        assert schedule.scheduler.crashes == 1
        schedule.settle()


def test_change_of_provider_really_happens_and_leaves_nothing_of_the_old_one() -> None:
    schedule = begun("change of provider")
    schedule.sync_once()

    assert {row[0] for row in shelf().driver.execute("SELECT provider FROM stream")} == {
        "blockscout"
    }
    schedule.settle()


def test_rewind_really_happens() -> None:
    schedule = begun("rewind")
    schedule.sync_once()

    assert "rewound" in schedule.outcomes()
