"""Seeded schedules: killed, frozen, doubled and lied to, the ledger equals the chain."""

import pytest

from tests.simulation import mutants
from tests.simulation.__main__ import failure, shrunk
from tests.simulation.bugs import CONTROL, MUTANTS, Mutant
from tests.simulation.schedule import QUIET, THEMES, Schedule

SEEDS = 1_000
AT_ONCE = 25


@pytest.mark.parametrize("first", range(0, SEEDS, AT_ONCE))
def test_ledger_equals_the_oracle_whatever_happens_on_the_way(first: int) -> None:
    for seed in range(first, first + AT_ONCE):
        if failure(seed) is not None:
            plan, what, trace = shrunk(seed)
            pytest.fail("\n".join([*trace[-60:], f"seed {seed}: {what}", f"fails with {plan}"]))


def test_quiet_schedule_needs_no_luck() -> None:
    Schedule(7, QUIET).run()


def test_same_seed_gives_the_same_history() -> None:
    first = Schedule(3)
    first.run()
    second = Schedule(3)
    second.run()

    assert second.scheduler.trace == first.scheduler.trace


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_known_bug_is_found(mutant: Mutant) -> None:
    code, said = mutants.hunted(mutant)

    assert code == mutants.FOUND, said


def test_nothing_is_found_where_no_bug_is_planted() -> None:
    # Else a mutant "found" would prove nothing.
    code, said = mutants.hunted(CONTROL)

    assert code == mutants.SURVIVED, said


def test_every_theme_has_its_seeds() -> None:
    assert len(THEMES) * 20 < SEEDS
