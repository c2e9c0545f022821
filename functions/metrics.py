"""What a worker tells of itself: Prometheus metrics, liveness and readiness on a port of its own.

https://prometheus.io/docs/practices/naming (read 2026-11-25). Counters are this process's; what the
ledger and the queue know is asked when somebody scrapes.
"""

import json
import logging
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from sqlalchemy.exc import DBAPIError

from schema.queries import lag
from shared.clock import Clock
from shared.errors import TallybookError
from shared.runtime import Runtime
from shared.sync.run import RunReport

log = logging.getLogger(__name__)

STUCK_S = 120.0  # without a turn for so long a worker is not alive
CHUNK_S = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """Counts what the worker's threads report, and serves it."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._clock: Clock = runtime.clock
        self._turned_at = self._clock.monotonic()
        self._is_ready = False
        self.registry = CollectorRegistry()
        self._chunks = self._counter("chunks", "Turns of a stream", "outcome")
        self._errors = self._counter("errors", "Turns that failed, by their code", "code")
        self._movements = self._counter("movements", "Movements written or deleted", "what")
        self._pages = self._counter("pages", "Pages read")
        self._seconds = Histogram(
            "tallybook_chunk_seconds", "Time of a turn", registry=self.registry, buckets=CHUNK_S
        )
        self._leads = self._gauge("leader", "1 while this process leads")
        self._last = self._gauge("last_success_timestamp_seconds", "When a turn last ended well")
        self._depth = self._gauge("queue_wake_ups", "Wake-ups in the queue", "state")
        self._lag = self._gauge("lag_seconds", "How long the longest due stream has waited")
        self._due = self._gauge("due_streams", "Streams that are due and that nobody works on")
        self._streams = self._gauge("streams", "Streams by state", "state")

    def worked(self, report: RunReport) -> None:
        """One box is over."""
        self._turned_at = self._clock.monotonic()
        for chunk in report.chunks:
            self._chunks.labels(chunk.outcome).inc()
            self._pages.inc(chunk.pages)
            self._movements.labels("inserted").inc(chunk.inserted)
            self._movements.labels("deleted").inc(chunk.deleted)
            self._seconds.observe(chunk.seconds)
            if chunk.error is None:
                self._last.set(self._clock.now().timestamp())
            else:
                self._errors.labels(chunk.error[0]).inc()

    def failed(self, code: str) -> None:
        """A turn ended with an error."""
        self._errors.labels(code).inc()

    def leads(self, *, leads: bool) -> None:
        """Whether this process leads now."""
        self._leads.set(int(leads))

    def ready(self) -> None:
        """All threads have begun."""
        self._is_ready = True

    def ending(self) -> None:
        """No new work is begun."""
        self._is_ready = False

    def serve(self, host: str, port: int) -> ThreadingHTTPServer:
        """Answer on a port from a thread; the server, for its port and its end."""
        handler = type("Handler", (_Handler,), {"answers": self._answers()})
        server = ThreadingHTTPServer((host, port), handler)
        threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
        return server

    def _answers(self) -> dict[str, Callable[[], tuple[int, str, bytes]]]:
        return {
            "/health/live": self._live,
            "/health/ready": self._readiness,
            "/metrics": self._scraped,
        }

    def _live(self) -> tuple[int, str, bytes]:
        """Restart me when this is not 200."""
        rest_s = self._clock.monotonic() - self._turned_at
        longest_s = STUCK_S + self._runtime.settings.worker_box_s
        return _told(rest_s < longest_s, {"seconds_since_turn": round(rest_s, 1)})

    def _readiness(self) -> tuple[int, str, bytes]:
        """Whether it works: threads up, database at its revision, queue in reach."""
        health = self._runtime.health()
        problem = health.problem or (None if self._is_ready else "the worker is ending")
        queue = None if health.queue is None else health.queue._asdict()
        return _told(problem is None, {"queue": queue, "problem": problem})

    def _scraped(self) -> tuple[int, str, bytes]:
        """All there is; what cannot be asked now is left out, not zero."""
        for gauge in (self._depth, self._streams):
            gauge.clear()
        try:
            for state, count in self._runtime.seams.queue.stats()._asdict().items():
                self._depth.labels(state).set(count)
            standing = self._runtime.seams.unit.run("lag", lag.standing)
            self._lag.set(standing.lag_s)
            self._due.set(standing.due)
            for state, count in standing.states.items():
                self._streams.labels(state).set(count)
        except (TallybookError, DBAPIError) as exc:
            log.warning("not all metrics can be had", extra={"why": type(exc).__name__})
        return 200, CONTENT_TYPE_LATEST, generate_latest(self.registry)

    def _counter(self, name: str, what: str, *labels: str) -> Counter:
        return Counter(f"tallybook_{name}", what, labels, registry=self.registry)

    def _gauge(self, name: str, what: str, *labels: str) -> Gauge:
        return Gauge(f"tallybook_{name}", what, labels, registry=self.registry)


class _Handler(BaseHTTPRequestHandler):
    """GET of three paths; nothing is secret and nothing can be changed."""

    answers: dict[str, Callable[[], tuple[int, str, bytes]]]

    def do_GET(self) -> None:
        """Answer, or say that there is no such path."""
        answer = self.answers.get(self.path.split("?")[0])
        status, kind, body = answer() if answer else (404, "text/plain", b"no such path\n")
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """A scrape each few seconds is no news."""


def _told(well: bool, what: dict[str, Any]) -> tuple[int, str, bytes]:
    body = {"status": "ok" if well else "down", **what}
    return 200 if well else 503, "application/json", json.dumps(body).encode()
