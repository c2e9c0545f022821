"""Seeded schedules: killed, frozen, doubled and lied to, the ledger equals the chain."""

import subprocess
import sys

import pytest

from shared.emulator.faults import FAULTS
from tests.commands import ROOT
from tests.simulation import mutants
from tests.simulation.__main__ import failure, shrunk, told
from tests.simulation.bugs import CONTROL, MUTANTS, Mutant
from tests.simulation.plans import QUIET, THEMES
from tests.simulation.schedule import Schedule

SEEDS = 1_000
AT_ONCE = 25


@pytest.mark.parametrize("first", range(0, SEEDS, AT_ONCE))
def test_ledger_equals_the_oracle_whatever_happens_on_the_way(first: int) -> None:
    for seed in range(first, first + AT_ONCE):
        if failure(seed) is not None:
            pytest.fail(told(seed, *shrunk(seed)))


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


def test_every_fault_of_the_local_provider_is_met() -> None:
    met: set[str] = set()
    for seed in range(0, 20 * len(THEMES), len(THEMES)):
        schedule = Schedule(seed)
        schedule.run()
        met |= schedule.emulator.stats()["faults"].keys()

    assert met == set(FAULTS)


def test_a_failing_seed_is_shrunk_to_the_same_failure_and_can_be_replayed() -> None:
    code = """
import sys
from tests.simulation import bugs, mutants
mutant = next(each for each in bugs.MUTANTS if each.name == "no fence")
sys.meta_path.insert(0, mutants._Planter(mutant))
from tests.simulation import __main__ as run
seed = next(seed for seed in range(100) if run.failure(seed))
before = run.failure(seed)
plan, what, trace = run.shrunk(seed)
assert run._kind(what) == run._kind(before[0]), (what, before[0])
assert run.failure(seed, plan) == (what, trace)
assert "--replay" in run.told(seed, plan, what, trace)
print(len(before[1]), len(trace))
"""
    done = subprocess.run(  # noqa: S603 - our own words
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    before, after = map(int, done.stdout.split()[-2:])
    assert after < before / 2
