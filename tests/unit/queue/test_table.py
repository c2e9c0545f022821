"""What the table queue leaves behind when its process dies within a call."""

from typing import Any

import pytest
from sqlalchemy import event

from shared.queue.base import Done, Push, WakeUp
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


def test_pushes_of_one_stream_are_one_job() -> None:
    pushes = [Push(A, 5), Push(WakeUp(1, urgent=True), 7), Push(B, -3), Push(A, 6)]

    assert [tuple(job) for job in merged(pushes)] == [(1, True, 5.0), (2, False, 0.0)]
