"""What the table queue leaves behind when its process dies within a call."""

from typing import Any

import pytest
from sqlalchemy import event

from shared.queue.base import Bury, Done, Outcome, Push, Retry, WakeUp
from shared.queue.table import TableQueue, merged
from shared.seams import SqlUnit
from tests.conftest import Database

LEASE_S = 60.0
A, B, C = WakeUp(1), WakeUp(2), WakeUp(3)


class DiedError(BaseException):
    """The process is gone."""


@pytest.mark.parametrize("statements", range(5))
def test_dying_within_finish_loses_no_wake_up(database: Database, statements: int) -> None:
    queue = TableQueue(SqlUnit(database.engine))
    queue.push(A)
    claim = queue.claim(LEASE_S)
    assert claim is not None
    left = [statements]

    def die(*_: Any) -> None:
        if left[0] == 0:
            raise DiedError
        left[0] -= 1

    event.listen(database.engine, "before_cursor_execute", die)
    try:
        queue.finish(claim, Done(), then=[Push(A), Push(B), Push(C)], claim_next_s=LEASE_S)
    except DiedError:
        pass
    finally:
        event.remove(database.engine, "before_cursor_execute", die)
    # The chunk is delivered again by its lease and does the same again.
    database.advance(LEASE_S + 1)
    seen = []
    while (claim := queue.claim(LEASE_S)) is not None:
        seen.append(claim.wake_up)
        # A repeats what its first run could not end.
        then = [Push(B), Push(C)] if len(seen) == 1 and claim.wake_up == A else []
        queue.finish(claim, Done(), then=then)

    assert {A, B, C} <= set(seen)


@pytest.mark.parametrize("dialect", ["postgres"])
def test_push_between_the_two_statements_of_a_finish_is_not_lost(database: Database) -> None:
    # On SQLite a finish is one step; on Postgres somebody may push when no follow-up was found.
    queue = TableQueue(SqlUnit(database.engine))
    queue.push(A)
    claim = queue.claim(LEASE_S)
    assert claim is not None
    drops: list[str] = []

    def push_before(_connection: Any, _cursor: Any, sql: str, *_: Any) -> None:
        if "DELETE FROM tallybook.sync_job" in sql:
            drops.append(sql)
            if len(drops) == 1:
                queue.push(A)

    event.listen(database.engine, "before_cursor_execute", push_before)
    try:
        queue.finish(claim, Done())
    finally:
        event.remove(database.engine, "before_cursor_execute", push_before)

    assert drops
    follow_up = queue.claim(LEASE_S)
    assert follow_up is not None
    assert follow_up.wake_up == A


@pytest.mark.parametrize("outcome", [Done(), Retry(0.0), Bury("why")], ids=str)
@pytest.mark.parametrize("pushed", [False, True], ids=["quiet", "pushed meanwhile"])
def test_whoever_lost_a_claim_ends_nothing_of_the_next_one(
    database: Database, outcome: Outcome, pushed: bool
) -> None:
    queue = TableQueue(SqlUnit(database.engine))
    queue.push(A)
    stale = queue.claim(LEASE_S)
    database.advance(LEASE_S + 1)
    present = queue.claim(LEASE_S)
    assert stale is not None
    assert present is not None
    if pushed:
        queue.push(A)

    queue.finish(stale, outcome)

    assert queue.claim(LEASE_S) is None
    assert queue.dead_letters() == []
    queue.finish(present, Done())
    assert (queue.claim(LEASE_S) is not None) == pushed


def test_pushes_of_one_stream_are_one_job() -> None:
    pushes = [Push(A, 5), Push(WakeUp(1, urgent=True), 7), Push(B, -3), Push(A, 6)]

    assert [tuple(job) for job in merged(pushes)] == [(1, True, 5.0), (2, False, 0.0)]
