"""What counts from now counts from after the wait for a lock, not from before it."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple

import pytest
from sqlalchemy import Connection, text

from schema.engine import reading
from schema.queries import page as pages
from schema.queries import stream, sync_job
from schema.queries.sync_job import PushedJob
from tests.conftest import Database
from tests.interleaving.duel import CLOSING, RUN, Duel
from tests.interleaving.rivals import late
from tests.unit.schema.test_page import LEASE_S


class Case(NamedTuple):
    """A statement that promises ``promised_s`` from now in a column."""

    table: str
    column: str
    step: Callable[[Duel, Connection], object]
    promised_s: float = LEASE_S


CASES = {
    "lease": Case(
        "stream",
        "lease_until",
        lambda duel, connection: stream.lease(
            connection, duel.ledger.stream_id, lease_s=LEASE_S, holder="late"
        ),
    ),
    "page": Case(
        "stream",
        "lease_until",
        lambda duel, connection: pages.write_page(connection, duel.page(duel.owner, duel.told)),
    ),
    "close": Case(
        "stream",
        "due_at",
        lambda duel, connection: stream.close(
            connection, duel.owner, CLOSING._replace(due_in_s=300.0), RUN
        ),
        promised_s=300.0,
    ),
    "claim": Case(
        "sync_job",
        "ready_at",
        lambda _, connection: sync_job.claim(connection, claim_token=1, lease_s=LEASE_S),
    ),
    "retry": Case(
        "sync_job",
        "ready_at",
        lambda _, connection: sync_job.finish_retry(
            connection, stream_id=1, claim_token=7, delay_s=LEASE_S
        ),
    ),
    "push": Case(
        "sync_job",
        "ready_at",
        lambda _, connection: sync_job.push(connection, [PushedJob(2, False, LEASE_S)]),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_nothing_of_a_promise_is_lost_to_a_lock(database: Database, name: str) -> None:
    case, duel = CASES[name], Duel(database)
    with database.engine.begin() as connection:
        sync_job.push(connection, [PushedJob(1, False, 0.0)])
        if name == "retry":
            assert sync_job.claim(connection, claim_token=7, lease_s=LEASE_S)
    if name == "lease":
        database.advance(LEASE_S + 1)
    released_at: list[datetime] = []

    late(
        database.engine,
        # The table and not the row, which a lease and a claim would skip.
        lambda other: other.execute(text(f"LOCK TABLE tallybook.{case.table}")),
        lambda connection: case.step(duel, connection),
        before_release=lambda other: released_at.append(
            other.execute(text("SELECT clock_timestamp()")).scalar_one()
        ),
    )

    with reading(database.engine) as connection:
        query = f"SELECT max({case.column}) FROM tallybook.{case.table}"
        promised = connection.execute(text(query)).scalar_one()
    assert promised >= released_at[0] + timedelta(seconds=case.promised_s)
