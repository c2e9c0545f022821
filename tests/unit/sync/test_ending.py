"""How a chunk ends: no error leads to ``up_to_date``, and nothing is left without a next step."""

from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import import_module
from inspect import signature
from typing import Any

import pytest

from schema.queries.stream import Lease
from schema.types import StreamState
from shared.errors import (
    DeadlineExceededError,
    HistoryChangedError,
    SourceDeniedError,
    SourceRateLimitedError,
    SourceTimeoutError,
    SourceUnavailableError,
    SourceUnsupportedError,
    TallybookError,
)
from shared.settings import Settings
from shared.sync.ending import (
    FEWEST_PAGE_ROWS,
    FIRST_BACKOFF_S,
    JITTER,
    LONGEST_BACKOFF_S,
    Ending,
    Endings,
)

import_module("shared.sources.etherscan_refusals")  # it has an error of its own
MOST = 5
UNAVAILABLE = SourceUnavailableError("x", "HTTP 500")


class FixedRng:
    """Chance that is always the same."""

    def __init__(self, value: float) -> None:
        self.value = value

    def random(self) -> float:
        return self.value


def lease(**changes: Any) -> Lease:
    usual = Lease(
        stream_id=1,
        token=7,
        chain_id=1,
        account="0x",
        kind="native",
        provider="etherscan",
        settled_block=100,
        next_block=120,
        pass_head=None,
        anchors="[]",
        page_rows=None,
        attempts=0,
        error_code=None,
        live=True,
        due_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    return usual._replace(**changes)


def endings(chance: float = 0.5, **changes: Any) -> Endings:
    return Endings(lease(**changes), Settings(max_attempts=MOST, refresh_s=100), FixedRng(chance))


def failed(
    error: TallybookError, *, moved: bool = False, chance: float = 0.5, **changes: Any
) -> Ending:
    return endings(chance, **changes).failed(error, 500, 1000, moved=moved)


def every_error(kind: type[TallybookError] = TallybookError) -> Iterator[type[TallybookError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from every_error(below)


def made(kind: type[TallybookError]) -> TallybookError:
    given: dict[str, Any] = {"source": "x", "detail": "went wrong", "retry_after_s": 3.0}
    wanted = signature(kind).parameters
    return kind(**{name: value for name, value in given.items() if name in wanted})


ERRORS = sorted(set(every_error()), key=lambda kind: kind.__name__)


def test_every_error_of_the_tree_is_looked_at() -> None:
    assert len(ERRORS) >= 18


@pytest.mark.parametrize("moved", [True, False])
@pytest.mark.parametrize("kind", ERRORS)
def test_no_error_leads_to_up_to_date(kind: type[TallybookError], moved: bool) -> None:
    error = made(kind)

    ending = failed(error, moved=moved)

    closing = ending.closing
    assert closing.state in {StreamState.SNOOZED, StreamState.STOPPED, StreamState.DEAD}
    assert ending.outcome == closing.state
    assert not closing.synced
    assert closing.error == (kind.code, error.detail, error.how_to_fix)
    if closing.state == StreamState.SNOOZED:
        assert closing.due_in_s > 0


@pytest.mark.parametrize("kind", ERRORS)
def test_an_error_that_waiting_cannot_help_stops_the_stream(kind: type[TallybookError]) -> None:
    if kind is HistoryChangedError:
        return
    stopped = failed(made(kind)).closing.state == StreamState.STOPPED

    assert stopped is not kind.retryable


def test_a_stop_says_what_a_person_can_do() -> None:
    for kind in (SourceDeniedError, SourceUnsupportedError, HistoryChangedError):
        error = failed(made(kind), error_code=HistoryChangedError.code).closing.error
        assert error is not None
        assert error[2]


@pytest.mark.parametrize("moved", [True, False])
def test_a_rate_limit_burns_no_attempt(moved: bool) -> None:
    limited = SourceRateLimitedError("x", "slow down", retry_after_s=40.0)

    closing = failed(limited, attempts=MOST - 1, moved=moved).closing

    assert closing.state == StreamState.SNOOZED
    assert closing.attempts == (0 if moved else MOST - 1)
    assert 40.0 <= closing.due_in_s <= 40.0 * (1 + JITTER)


def test_failures_back_off_twice_as_long_each_time_up_to_a_bound() -> None:
    waits = [
        failed(UNAVAILABLE, attempts=attempts).closing.due_in_s for attempts in range(MOST - 1)
    ]

    assert waits == [FIRST_BACKOFF_S * 2**attempt for attempt in range(MOST - 1)]
    patient = Endings(lease(attempts=50), Settings(max_attempts=100), FixedRng(0.5))
    assert patient.failed(UNAVAILABLE, 500, 1000, moved=False).closing.due_in_s == LONGEST_BACKOFF_S


def test_what_failed_together_does_not_come_back_together() -> None:
    early, late = (failed(UNAVAILABLE, chance=chance).closing.due_in_s for chance in (0.0, 1.0))

    assert early == FIRST_BACKOFF_S * (1 - JITTER)
    assert late == FIRST_BACKOFF_S * (1 + JITTER)


def test_too_many_failures_in_a_row_are_a_dead_letter() -> None:
    almost = failed(UNAVAILABLE, attempts=MOST - 2).closing
    last = failed(UNAVAILABLE, attempts=MOST - 1).closing

    assert (almost.state, almost.attempts) == (StreamState.SNOOZED, MOST - 1)
    assert (last.state, last.attempts, last.due_in_s) == (StreamState.DEAD, MOST, 0.0)


def test_progress_forgives_the_failures_before_it() -> None:
    closing = failed(UNAVAILABLE, attempts=MOST - 1, moved=True).closing

    assert (closing.state, closing.attempts) == (StreamState.SNOOZED, 1)


def test_a_contradiction_is_read_a_second_time_before_it_stops_the_stream() -> None:
    changed = HistoryChangedError("x", "block 5 came back different")

    first = failed(changed).closing
    second = failed(changed, error_code=first.error[0] if first.error else None).closing

    assert (first.state, first.attempts) == (StreamState.SNOOZED, 1)
    assert second.state == StreamState.STOPPED


@pytest.mark.parametrize(
    "slow", [SourceTimeoutError("x", "no answer in 5 s"), DeadlineExceededError("no time left")]
)
def test_pages_are_halved_when_none_came_in_time(slow: TallybookError) -> None:
    assert failed(slow).closing.page_rows == 500
    assert endings().failed(slow, None, 12, moved=False).closing.page_rows == FEWEST_PAGE_ROWS
    assert failed(slow, moved=True, page_rows=800).closing.page_rows == 800


def test_pages_keep_their_size_when_the_provider_fails_otherwise() -> None:
    assert failed(UNAVAILABLE, page_rows=250).closing.page_rows == 250
    assert failed(UNAVAILABLE).closing.page_rows is None


def test_the_pass_that_failed_stays_open() -> None:
    assert failed(UNAVAILABLE).closing.pass_head == 500


def test_a_finished_pass_is_up_to_date_until_it_is_due_again() -> None:
    ending = endings(attempts=3, error_code="source_unavailable").up_to_date(None)

    assert ending.outcome == "done"
    closing = ending.closing
    assert (closing.state, closing.synced, closing.error) == (StreamState.UP_TO_DATE, True, None)
    assert (closing.attempts, closing.pass_head, closing.due_in_s) == (0, None, 100.0)


def test_an_unfinished_pass_is_due_at_once_and_stays_open() -> None:
    moved = endings(attempts=3).unfinished(500, 250, moved=True).closing
    stuck = endings(attempts=3).unfinished(500, 250, moved=False).closing

    assert (moved.state, moved.due_in_s, moved.pass_head, moved.page_rows, moved.attempts) == (
        StreamState.PENDING,
        0.0,
        500,
        250,
        0,
    )
    assert stuck.attempts == 3
    assert not moved.synced


def test_a_rewind_keeps_what_both_chains_share_and_says_why() -> None:
    ending = endings().rewound(40, '[[40,"aa"]]')

    closing = ending.closing
    assert ending.outcome == "rewound"
    assert (closing.rewind_to, closing.anchors, closing.pass_head) == (40, '[[40,"aa"]]', None)
    assert (closing.state, closing.due_in_s, closing.synced) == (StreamState.PENDING, 0.0, False)
    assert closing.error is not None
    assert "block 40" in closing.error[1]


def test_another_provider_starts_afresh_and_the_refusal_stays_visible() -> None:
    refused = SourceUnsupportedError("etherscan", "paid plans only")

    closing = endings(attempts=3, page_rows=10).other_provider("routescan", refused).closing

    assert (closing.provider, closing.state, closing.attempts) == (
        "routescan",
        StreamState.PENDING,
        0,
    )
    assert (closing.page_rows, closing.pass_head) == (None, None)
    assert closing.error is not None
    assert closing.error[0] == SourceUnsupportedError.code
