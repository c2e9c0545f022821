"""``python -m tests.simulation --seeds N --from K``: any number of schedules, on every core."""

import argparse
import gc
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

from tests.simulation.schedule import THEMES, Plan, Schedule

AT_ONCE = 10
SHOWN = 60


def failure(seed: int, plan: Plan | None = None) -> tuple[str, list[str]] | None:
    """What went wrong with a seed and its trace, or None when all is well."""
    schedule = Schedule(seed, plan)
    try:
        schedule.run()
    except Exception as exc:  # noqa: BLE001 - whatever it is, it is the find
        return str(exc) or type(exc).__name__, schedule.scheduler.trace
    return None


def simpler(plan: Plan) -> Iterator[Plan]:
    """Plans with one kind of trouble less."""
    for each in fields(plan):
        value = getattr(plan, each.name)
        if isinstance(value, float) and value:
            yield _with(plan, each.name, 0.0)
        elif type(value) is int and value > 1:
            yield _with(plan, each.name, value - 1)
    for name in plan.faults:
        yield replace(plan, faults={key: odds for key, odds in plan.faults.items() if key != name})


def _with(plan: Plan, name: str, value: Any) -> Plan:
    changes: dict[str, Any] = {name: value}
    return replace(plan, **changes)


def shrunk(seed: int) -> tuple[Plan, str, list[str]]:
    """The simplest plan with which a failing seed still fails, and that failure."""
    plan = THEMES[seed % len(THEMES)]
    found = failure(seed, plan)
    assert found is not None
    while True:
        tries = ((each, failure(seed, each)) for each in simpler(plan))
        better = next(((each, what) for each, what in tries if what is not None), None)
        if better is None:
            return plan, *found
        plan, found = better


def bad_seeds(seeds: range) -> list[int]:
    """Those of these seeds that fail."""
    return [seed for seed in seeds if failure(seed) is not None]


def collect_seldom() -> None:
    """A world is garbage as a whole: looking for it in the middle of a schedule costs a fifth."""
    gc.freeze()
    gc.set_threshold(100_000, 50, 1_000)


def main() -> int:
    """Run the seeds; 1 when one failed, after printing it shrunk and with its trace."""
    parser = argparse.ArgumentParser(prog="tests.simulation", description="seeded schedules")
    parser.add_argument("--seeds", type=int, default=1000, metavar="N")
    parser.add_argument("--from", type=int, default=0, metavar="K", dest="first")
    args = parser.parse_args()
    last = args.first + args.seeds
    lots = [range(at, min(at + AT_ONCE, last)) for at in range(args.first, last, AT_ONCE)]
    began = time.monotonic()
    with multiprocessing.Pool(os.cpu_count(), initializer=collect_seldom) as pool:
        bad = [seed for some in pool.imap(bad_seeds, lots) for seed in some]
    took_s = time.monotonic() - began
    for seed in bad[:1]:
        plan, what, trace = shrunk(seed)
        print("\n".join(trace[-SHOWN:]), f"\nseed {seed}: {what}\nfails still with {plan}")
    rate = args.seeds / took_s / (os.cpu_count() or 1)
    print(f"{len(bad)} of {args.seeds} seeds failed {bad[:20] or ''}; {rate:.0f} a second a core")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
