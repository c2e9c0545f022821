"""The long-running worker: threads that work streams, one leader that wakes what is due.

Nothing here knows which queue there is. SIGTERM: no new page is begun, what is under way is closed,
exit 0; a second one exits at once.
"""

import logging
import math
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType

from functions.metrics import Metrics
from schema.queries import leader
from schema.queries.stream import Feed
from shared import holder as holders
from shared.clock import Deadline
from shared.errors import TallybookError
from shared.runtime import Runtime

log = logging.getLogger(__name__)

IDLE_S = 1.0  # longest wait for the queue: as long as a worker may take to see that it shall end
AFTER_ERROR_S = 2.0
LEADER_LEASE_S = 10.0
TURN_S = 1.0
PUSH_AGAIN_S = 30.0
TIDY_EVERY_S = 3600.0
ROLE = "worker"
KILLED = 128 + signal.SIGTERM


class Worker:
    """All threads of one process; ``run`` returns when they have ended."""

    def __init__(self, runtime: Runtime, metrics: Metrics) -> None:
        self._runtime = runtime
        self._metrics = metrics
        self._stop = threading.Event()
        self._holder = holders.current()
        self._pushed_at: dict[Feed, float] = {}
        self._tidy_at = self._prices_at = -math.inf

    def run(self) -> int:
        """Work until a signal comes; the exit code."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._told_to_end)
        threads = [self._thread(f"worker-{n}", self._work) for n in range(self._size)]
        threads.append(self._thread("leader", self._lead))
        self._metrics.ready()
        while not self._stop.wait(IDLE_S):
            pass
        log.warning("ending: no new page is begun")
        self._metrics.ending()
        end = self._now() + self._runtime.settings.grace_s
        for thread in threads:
            thread.join(max(0.0, end - self._now()))
        late = [thread.name for thread in threads if thread.is_alive()]
        if late:
            # Their leases end by themselves; what they had written is whole.
            log.warning("ended without waiting for all", extra={"late": ",".join(late)})
        return 0

    def stop(self) -> None:
        """As a signal does."""
        self._stop.set()

    @property
    def _size(self) -> int:
        return self._runtime.settings.worker_threads

    def _told_to_end(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        if self._stop.is_set():
            os._exit(KILLED)
        self._stop.set()

    def _thread(self, name: str, turn: Callable[[], None]) -> threading.Thread:
        thread = threading.Thread(target=self._forever, args=(turn,), name=name, daemon=True)
        thread.start()
        return thread

    def _forever(self, turn: Callable[[], None]) -> None:
        """Turn after turn; a thread that dies would tell nobody."""
        while not self._stop.is_set():
            try:
                turn()
            except TallybookError as exc:
                log.warning("turn failed: %s", exc.detail, extra={"code": exc.code})
                self._metrics.failed(exc.code)
                self._stop.wait(AFTER_ERROR_S)
            except Exception:
                log.exception("turn failed unexpectedly")
                self._metrics.failed("internal")
                self._stop.wait(AFTER_ERROR_S)

    def _work(self) -> None:
        """What one thread does: a box, then wait for the queue."""
        report = self._runtime.sync.run(self._deadline(self._runtime.settings.worker_box_s))
        self._metrics.worked(report)
        if not report.chunks:
            self._runtime.commons.wait(IDLE_S)

    def _lead(self) -> None:
        """Once a second, if we are the one: wake what is due, refresh prices, tidy."""
        unit, lease_s = self._runtime.seams.unit, LEADER_LEASE_S
        leads = unit.run("lead", lambda c: leader.lead(c, ROLE, self._holder, lease_s))
        self._metrics.leads(leads=leads)
        if leads:
            self._wake()
            self._at_times()
        self._stop.wait(TURN_S)
        if leads and self._stop.is_set():
            unit.run("resign", lambda c: leader.resign(c, ROLE, self._holder))

    def _wake(self) -> None:
        """Push what is due and free; what is due since the same moment again only after a while."""
        now = self._now()
        recent = {feed: at for feed, at in self._pushed_at.items() if now - at < PUSH_AGAIN_S}
        self._pushed_at = recent | dict.fromkeys(self._runtime.sync.wake(but=recent), now)

    def _at_times(self) -> None:
        """What is done now and then, within boxes of its own."""
        now = self._now()
        if now >= self._tidy_at:
            more = self._runtime.sync.tidy()
            self._tidy_at = now + (TURN_S if more else TIDY_EVERY_S)
        if now >= self._prices_at:
            box_s = min(self._runtime.settings.run_budget_s, LEADER_LEASE_S / 2)
            report = self._runtime.prices.refresh(self._deadline(box_s))
            rest_s = TURN_S if report.left else self._runtime.settings.price_refresh_s
            self._prices_at = self._now() + rest_s

    def _deadline(self, seconds: float) -> Deadline:
        """The end of a box; to end is to have no time left."""

        def monotonic() -> float:
            return math.inf if self._stop.is_set() else self._now()

        return Deadline(self._now() + seconds, monotonic)

    def _now(self) -> float:
        return self._runtime.clock.monotonic()
