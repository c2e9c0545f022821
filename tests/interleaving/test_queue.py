"""The table queue when two consumers, or a consumer and a producer, meet at one row."""

from collections.abc import Callable

import pytest
from sqlalchemy import Connection

from schema.engine import autocommit
from schema.queries import sync_job
from schema.queries.sync_job import ClaimedJob, PushedJob
from tests.conftest import Database
from tests.interleaving.rivals import impatient, late

LEASE_S = 60.0
MINE, THEIRS = 7, 8


def push(connection: Connection, *streams: int) -> None:
    sync_job.push(connection, [PushedJob(stream_id, False, 0.0) for stream_id in streams])


def claim(connection: Connection, token: int = MINE) -> ClaimedJob | None:
    return sync_job.claim(connection, claim_token=token, lease_s=LEASE_S)


def done(connection: Connection, token: int = MINE) -> None:
    sync_job.finish_done(connection, stream_id=1, claim_token=token)


def rest(database: Database) -> list[int]:
    """The streams that can be claimed once every lease has ended, in order."""
    database.advance(LEASE_S + 1)
    found: list[int] = []
    with autocommit(database.engine) as connection:
        while (job := claim(connection, 100 + len(found))) is not None:
            found.append(job.stream_id)
    return found


@pytest.fixture
def queue(database: Database) -> Database:
    with autocommit(database.engine) as connection:
        push(connection, 1)
    return database


@pytest.mark.parametrize("commit", [True, False], ids=["committed", "rolled back"])
def test_consumers_never_wait_for_each_other_nor_get_the_same(
    queue: Database, commit: bool
) -> None:
    with autocommit(queue.engine) as connection:
        push(connection, 2)
    with queue.engine.connect() as other, other.begin() as transaction:
        assert claim(other) == ClaimedJob(1, False, 1)
        with impatient(queue.engine) as consumer:
            assert claim(consumer, THEIRS) == ClaimedJob(2, False, 1)
            assert claim(consumer, 9) is None
        if not commit:
            transaction.rollback()

    with impatient(queue.engine) as consumer:
        assert claim(consumer, 9) == (None if commit else ClaimedJob(1, False, 1))


PUSH_MEETS: dict[str, Callable[[Connection], object]] = {
    "a claim": claim,
    "an end": done,
    "a retry": lambda other: sync_job.finish_retry(
        other, stream_id=1, claim_token=MINE, delay_s=LEASE_S
    ),
    "a burial": lambda other: sync_job.finish_bury(
        other, stream_id=1, claim_token=MINE, reason="because"
    ),
}


@pytest.mark.parametrize("commit", [True, False], ids=["committed", "rolled back"])
@pytest.mark.parametrize("name", PUSH_MEETS)
def test_a_push_that_meets_anything_under_way_is_not_lost(
    queue: Database, name: str, commit: bool
) -> None:
    if name != "a claim":
        with autocommit(queue.engine) as connection:
            assert claim(connection)

    late(queue.engine, PUSH_MEETS[name], lambda connection: push(connection, 1), commit=commit)

    with autocommit(queue.engine) as connection:
        # Whoever holds the claim now ends it, having seen nothing of what the push was about.
        done(connection)
    assert rest(queue) == [1]


def test_an_end_that_meets_a_push_leaves_its_follow_up(queue: Database) -> None:
    with autocommit(queue.engine) as connection:
        assert claim(connection)

    late(queue.engine, lambda other: push(other, 1), done)

    assert rest(queue) == [1]


def test_an_end_that_meets_a_new_claim_of_its_row_is_nothing(queue: Database) -> None:
    with autocommit(queue.engine) as connection:
        assert claim(connection)
    queue.advance(LEASE_S + 1)

    late(queue.engine, lambda other: claim(other, THEIRS), done)

    with autocommit(queue.engine) as connection:
        assert sync_job.counts(connection) == (0, 0, 1, 0)
        done(connection, THEIRS)
    assert rest(queue) == []
