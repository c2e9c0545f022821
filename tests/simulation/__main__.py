"""``python -m tests.simulation --seeds N --from K``: any number of schedules, on every core."""

import argparse
import json
import multiprocessing
import os
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, fields, replace
from typing import Any

from tests.simulation.plans import THEMES, Plan
from tests.simulation.schedule import Schedule

AT_ONCE = 10
DEALS = 6  # other throws of the dice that shrinking tries with each simpler plan
FLOORS = {"runners": 1, "runs": 1, "blocks": 8, "life": 2}  # below these a schedule is none


def failure(seed: int, plan: Plan | None = None) -> tuple[str, list[str]] | None:
    """What went wrong with a seed and its trace, or None when all is well."""
    schedule = Schedule(seed, plan)
    try:
        schedule.run()
    except Exception as exc:  # noqa: BLE001 - whatever it is, it is the find
        return str(exc) or type(exc).__name__, schedule.scheduler.trace
    return None


def simpler(plan: Plan) -> Iterator[Plan]:
    """Plans with one kind of trouble less, the greatest steps first."""
    for each in fields(plan):
        value = getattr(plan, each.name)
        if isinstance(value, float) and value and each.name != "box_s":
            yield _with(plan, each.name, 0.0)
        floor = FLOORS.get(each.name, 0)
        if type(value) is int and value > floor and each.name != "deal":
            yield from (_with(plan, each.name, less) for less in {floor, value // 2, value - 1})
    if plan.faults:
        yield replace(plan, faults={})
    for name in plan.faults:
        yield replace(plan, faults={key: odds for key, odds in plan.faults.items() if key != name})


def _with(plan: Plan, name: str, value: Any) -> Plan:
    floor = FLOORS.get(name, 0)
    changes: dict[str, Any] = {name: max(floor, value) if type(value) is int else value}
    return replace(plan, **changes)


def _kind(what: str) -> str:
    """What a failure is, without the numbers and names of the very case."""
    return re.sub(r"\d+|run\w*|once|last", "", what.split("(", maxsplit=1)[0])[:60]


def shrunk(seed: int, plan: Plan | None = None) -> tuple[Plan, str, list[str]]:
    """The simplest plan with which a seed still fails in the same way, and that failure."""
    plan = plan or THEMES[seed % len(THEMES)]
    found = failure(seed, plan)
    assert found is not None
    while True:
        better = next(_failing_alike(seed, plan, found), None)
        if better is None:
            return plan, *found
        plan, found = better


def _failing_alike(
    seed: int, plan: Plan, found: tuple[str, list[str]]
) -> Iterator[tuple[Plan, tuple[str, list[str]]]]:
    """Simpler plans that fail like this one in no more steps, then its own in fewer."""
    simple = [(each, 0) for each in simpler(plan) if each != plan]
    for each, fewer in [*simple, (plan, 1)]:
        for deal in dict.fromkeys((plan.deal, *range(DEALS))):
            dealt = replace(each, deal=deal)
            what = failure(seed, dealt)
            alike = what is not None and _kind(what[0]) == _kind(found[0])
            if what is not None and alike and len(what[1]) <= len(found[1]) - fewer:
                yield dealt, what


def told(seed: int, plan: Plan, what: str, trace: list[str]) -> str:
    """A failure for a person: the whole trace, the reason, and how to see it again."""
    again = f"python -m tests.simulation --replay {seed} --plan '{json.dumps(asdict(plan))}'"
    return "\n".join([*trace, f"seed {seed}: {what}", f"again: {again}"])


def bad_seeds(seeds: range) -> list[int]:
    """Those of these seeds that fail."""
    return [seed for seed in seeds if failure(seed) is not None]


def replay(seed: int, plan: Plan | None) -> int:
    """Run one seed as it is, and print its trace."""
    schedule = Schedule(seed, plan)
    found = failure(seed, plan)
    if found is None:
        schedule.run()
        print("\n".join(schedule.scheduler.trace), f"\nseed {seed}: all is well")
        return 0
    print(told(seed, schedule.plan, *found))
    return 1


def main() -> int:
    """Run the seeds; 1 when one failed, after printing it shrunk and with its trace."""
    parser = argparse.ArgumentParser(prog="tests.simulation", description="seeded schedules")
    parser.add_argument("--seeds", type=int, default=1000, metavar="N")
    parser.add_argument("--from", type=int, default=0, metavar="K", dest="first")
    parser.add_argument("--replay", type=int, metavar="SEED", help="run one seed and print it")
    parser.add_argument("--plan", type=json.loads, default=None, metavar="JSON")
    args = parser.parse_args()
    if args.replay is not None:
        return replay(args.replay, Plan(**args.plan) if args.plan else None)
    last = args.first + args.seeds
    lots = [range(at, min(at + AT_ONCE, last)) for at in range(args.first, last, AT_ONCE)]
    began = time.monotonic()
    with multiprocessing.Pool(os.cpu_count()) as pool:
        bad = [seed for some in pool.imap(bad_seeds, lots) for seed in some]
    took_s = time.monotonic() - began
    for seed in bad[:1]:
        print(told(seed, *shrunk(seed)))
    rate = args.seeds / took_s / (os.cpu_count() or 1)
    print(f"{len(bad)} of {args.seeds} seeds failed {bad[:20] or ''}; {rate:.0f} a second a core")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
