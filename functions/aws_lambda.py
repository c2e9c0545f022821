"""The Lambda function: the API, the schedule's tick and prices, and runs that SQS starts.

Event documents: https://docs.aws.amazon.com/lambda/latest/dg/ (services-apigateway, with-sqs).
"""

import gc

# What is imported stays: looking for garbage among it costs a seventh of a cold start.
gc.disable()

import json  # noqa: E402
import logging  # noqa: E402
from collections.abc import Callable, Sequence  # noqa: E402
from dataclasses import asdict  # noqa: E402
from datetime import timedelta  # noqa: E402
from typing import Any, Protocol  # noqa: E402

import msgspec  # noqa: E402
from mangum import Mangum  # noqa: E402

from functions.api.internal_prices import view_of  # noqa: E402
from functions.app import create_app, create_refusing_app  # noqa: E402
from functions.invocation import deadline_of, run_once, tick  # noqa: E402
from functions.process import tune  # noqa: E402
from shared.errors import ConfigError, TallybookError  # noqa: E402
from shared.platform import ending_at  # noqa: E402
from shared.runtime import Runtime  # noqa: E402
from shared.settings import Settings  # noqa: E402

log = logging.getLogger(__name__)

Event = dict[str, Any]
TEXTS = ["text/", "application/json", "application/problem+json"]  # all else goes as base64
SCHEDULERS = frozenset({"aws.events", "aws.scheduler"})
KNOWN = (
    "an API Gateway v2 or Function URL request, an EventBridge schedule (detail.task: tick or"
    " prices) or a batch of SQS"
)


class Context(Protocol):
    """What Lambda tells of an invocation."""

    def get_remaining_time_in_millis(self) -> int:
        """Until the invocation is killed."""
        ...


def make_handler(runtime: Runtime) -> Callable[[Event, Context], Any]:
    """The handler over a runtime: one function for all kinds of events."""
    api = Mangum(create_app(runtime), lifespan="off", text_mime_types=TEXTS)

    def handle(event: Event, context: Context) -> Any:
        """Serve a request, work a schedule or a batch.

        Raises:
            ValueError: The event is of none of the known kinds.
        """
        left = timedelta(milliseconds=context.get_remaining_time_in_millis())
        with ending_at(runtime.clock.now() + left):
            if "http" in (event.get("requestContext") or {}):
                return api(event, context)  # type: ignore[arg-type]
            if _is_batch(event):
                return _batch(runtime, event["Records"])
            return _task(runtime, _task_of(event))

    return handle


def _is_batch(event: Event) -> bool:
    records = event.get("Records")
    return bool(records) and all(record.get("eventSource") == "aws:sqs" for record in records or ())


def _batch(runtime: Runtime, records: Sequence[Event]) -> Event:
    """A run for each message; the first that finds no time, or fails, comes back with the rest.

    In this order a FIFO queue keeps its promise, too.
    """
    deadline = deadline_of(runtime)
    done = 0
    try:
        runtime.ensure_schema()
        for _ in records:
            if deadline.remaining_s() <= 0:
                break
            run_once(runtime, deadline)
            done += 1
    except TallybookError as exc:
        log.warning("batch not finished: %s", exc.detail, extra={"code": exc.code})
    left = [{"itemIdentifier": record["messageId"]} for record in records[done:]]
    return {"batchItemFailures": left}


def _task_of(event: Event) -> str:
    """The task that a schedule asks for: a tick, unless its detail names another."""
    detail = event.get("detail") or {}
    if isinstance(detail, str):  # the Scheduler's own default is the text "{}"
        detail = json.loads(detail)
    if event.get("source") not in SCHEDULERS and "task" not in detail:
        message = f"unknown event with {sorted(event)}: this function takes {KNOWN}"
        raise ValueError(message)
    return str(detail.get("task", "tick"))


def _task(runtime: Runtime, name: str) -> Event:
    """Work a scheduled task; the answer is for the log of the schedule."""
    runtime.ensure_schema()
    if name == "tick":
        return asdict(tick(runtime, deadline_of(runtime)))
    if name == "prices":
        report = view_of(runtime.prices.refresh(deadline_of(runtime)))
        answer: Event = msgspec.to_builtins(report)
        return answer
    message = f"unknown task {name!r}: tick and prices are known"
    raise ValueError(message)


def make_refusing_handler(error: ConfigError) -> Callable[[Event, Context], Any]:
    """The handler of a function that is set up wrongly: every request is told why."""
    api = Mangum(create_refusing_app(error), lifespan="off", text_mime_types=TEXTS)

    def handle(event: Event, context: Context) -> Any:
        """Refuse.

        Raises:
            ConfigError: It is no request: a schedule or a queue tries again, and its log tells.
        """
        if "http" in (event.get("requestContext") or {}):
            return api(event, context)  # type: ignore[arg-type]
        raise error

    return handle


def _made() -> Callable[[Event, Context], Any]:
    try:
        return make_handler(Runtime.from_settings(Settings.load()))
    except ConfigError as exc:
        return make_refusing_handler(exc)


handler = _made()
tune()
