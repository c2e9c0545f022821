"""The embedded default's own worker: one thread beside the server that fills box after box."""

import logging
import math
import threading

from shared.clock import Deadline
from shared.errors import TallybookError
from shared.runtime import Runtime
from shared.sync.run import RunReport

log = logging.getLogger(__name__)

IDLE_S = 1.0
AFTER_ERROR_S = 5.0
TIDY_EVERY_S = 3600.0
GIVE_UP_JOIN_S = 30.0


class LocalWorker:
    """Sweeps and runs until it is told to stop; then it ends after the page under way."""

    def __init__(self, runtime: Runtime, *, idle_s: float = IDLE_S) -> None:
        self._runtime = runtime
        self._idle_s = idle_s
        self._stop = threading.Event()
        self._tidy_at = -math.inf
        self._thread = threading.Thread(target=self._work, name="tallybook-worker", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End: no new page is begun; waits for the one under way."""
        self._stop.set()
        self._thread.join(timeout=GIVE_UP_JOIN_S)

    def _work(self) -> None:
        while not self._stop.is_set():
            self._stop.wait(self._turn())

    def _turn(self) -> float:
        """One box; returns how long to rest before the next."""
        sync, clock = self._runtime.sync, self._runtime.clock
        try:
            # Whatever a queue could wake is due in the ledger: an idle turn asks nobody else.
            report = sync.run(self._deadline()) if sync.sweep() else RunReport(())
            if clock.monotonic() >= self._tidy_at:
                sync.tidy()
                self._tidy_at = clock.monotonic() + TIDY_EVERY_S
        except TallybookError as exc:
            log.warning("run failed: %s", exc.detail, extra={"code": exc.code})
            return AFTER_ERROR_S
        except Exception:
            # A thread that dies tells nobody: say it, and try again.
            log.exception("run failed unexpectedly")
            return AFTER_ERROR_S
        return 0.0 if report.chunks else self._idle_s

    def _deadline(self) -> Deadline:
        """The end of a box; to stop is to have no time left."""
        clock = self._runtime.clock

        def monotonic() -> float:
            return math.inf if self._stop.is_set() else clock.monotonic()

        at = clock.monotonic() + self._runtime.settings.run_budget_s
        return Deadline(at, monotonic)
