"""Seeded schedules: killed, frozen, doubled and lied to, the ledger equals the chain."""

import pytest

from tests.simulation.schedule import Plan, Schedule


@pytest.mark.parametrize("seed", range(20))
def test_ledger_equals_the_oracle_whatever_happens_on_the_way(seed: int) -> None:
    schedule = Schedule(seed)
    try:
        schedule.run()
    except Exception:
        print("\n".join(schedule.scheduler.trace[-60:]))  # noqa: T201 - a failing seed prints its trace
        raise


def test_quiet_schedule_needs_no_luck() -> None:
    Schedule(
        7, Plan(runners=1, runs=2, crash_odds=0, freeze_odds=0, fault_odds=0, deep_reorgs=False)
    ).run()
