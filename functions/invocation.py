"""What one invocation does, whoever called it: a run, a tick, and the start of further runs."""

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from functions import slots
from schema.queries import stream
from shared.clock import Deadline
from shared.errors import DeadlineExceededError, TallybookError
from shared.platform import platform_of, told_end
from shared.runtime import Runtime
from shared.sync.run import RunReport
from shared.triggers.base import NoTrigger

log = logging.getLogger(__name__)

LONGEST_WAIT_S = 10.0  # a stream that is due again so soon is awaited, not left to the next tick
START_S = 20.0
SLOT_S = 1.0
LAST_S = 0.2  # kept of an invocation for its own end


@dataclass(frozen=True, slots=True)
class TickReport:
    """What a tick found due, how many runs it started, and what its own run did."""

    due: int
    started: int
    chunks: int
    more: bool


def deadline_of(runtime: Runtime) -> Deadline:
    """When this invocation must have done its work: as its platform tells, else as the settings do.

    The platform kills at its end; the reserve before it is for starting whoever goes on.
    """
    clock, settings = runtime.clock, runtime.settings
    end = told_end(platform_of(settings))
    if end is None:
        return Deadline.after(clock, settings.run_budget_s)
    left_s = (end - clock.now()).total_seconds() - settings.reserve_s
    return Deadline.after(clock, max(0.0, left_s))


def run_once(runtime: Runtime, deadline: Deadline) -> RunReport:
    """Work the queue until the box is over; then start whoever goes on.

    Nothing when as many runs as the deployment may have are at work: they empty the queue.

    Raises:
        TallybookError: The queue or the ledger is out of reach; the next tick starts again.
    """
    report = _run_in_slot(runtime, deadline)
    if report is None:
        # Perhaps only because whoever called us has not given his back yet.
        with suppress(DeadlineExceededError):
            runtime.clock.sleep(SLOT_S, deadline)
        report = _run_in_slot(runtime, deadline) or RunReport(())
    if report.more:
        start_runs(runtime, 1)
    return report


def _run_in_slot(runtime: Runtime, deadline: Deadline) -> RunReport | None:
    """What a run did; None when no slot was free. It is free again before anybody is called."""
    with slots.one_of(runtime.seams.unit, runtime.settings.max_runs, deadline) as slot:
        return _run(runtime, deadline) if slot else None


def _run(runtime: Runtime, deadline: Deadline) -> RunReport:
    report = runtime.sync.run(deadline)
    while not report.more and (wait_s := _soon(report)) is not None:
        try:
            runtime.clock.sleep(wait_s, deadline)
        except DeadlineExceededError:
            break
        report = runtime.sync.run(deadline)
    return report


def tick(runtime: Runtime, deadline: Deadline) -> TickReport:
    """Wake what is due and free; when something is, start runs for it and work one box here."""
    return worked(runtime, runtime.sync.sweep(), deadline)


def worked(runtime: Runtime, due: int, deadline: Deadline) -> TickReport:
    """What a tick does with so many streams that it has woken."""
    unattended(runtime.sync.tend)
    if not due:
        return TickReport(0, 0, 0, more=False)
    started = start_runs(runtime, _free_runs(runtime, due) - 1)
    report = run_once(runtime, deadline)
    return TickReport(due, started, len(report.chunks), report.more)


def unattended(work: Callable[[], object]) -> None:
    """Do it for a call that has been answered: nobody is left to be told of a failure."""
    try:
        work()
    except TallybookError as exc:
        log.warning("run not finished: %s", exc.detail, extra={"code": exc.code})


def start_runs(runtime: Runtime, wanted: int) -> int:
    """Start so many runs, each in an invocation of its own; how many are on their way."""
    if isinstance(runtime.seams.trigger, NoTrigger):
        return 0
    started = 0
    for _ in range(wanted):
        try:
            runtime.seams.trigger.fire(_start_deadline(runtime))
        except TallybookError as exc:
            # Latency, not loss: what is due stands in the ledger.
            log.warning("run not started: %s", exc.detail, extra={"code": exc.code})
            break
        started += 1
    return started


def _start_deadline(runtime: Runtime) -> Deadline:
    """Until when to wait for a start to be accepted: an invocation that waits longer is killed."""
    deadline = Deadline.after(runtime.clock, START_S)
    end = told_end(platform_of(runtime.settings))
    if end is None:
        return deadline
    return deadline.within((end - runtime.clock.now()).total_seconds() - LAST_S)


def start_for(runtime: Runtime, streams: int) -> int:
    """Start runs for streams that somebody has just asked for, within the deployment's bound."""
    if isinstance(runtime.seams.trigger, NoTrigger):
        return 0
    return start_runs(runtime, _free_runs(runtime, streams))


def _free_runs(runtime: Runtime, streams: int) -> int:
    """How many more runs make sense: not above the bound, not above the streams."""
    working = runtime.seams.unit.run("leased", stream.leased)
    return max(0, min(runtime.settings.max_runs - working, streams))


def _soon(report: RunReport) -> float | None:
    """Seconds until the first stream of a run is due again, if that is soon."""
    waits = [
        chunk.due_in_s
        for chunk in report.chunks
        if chunk.state in {"pending", "snoozed"} and chunk.due_in_s <= LONGEST_WAIT_S
    ]
    return min(waits, default=None)
