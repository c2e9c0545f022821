"""A page whose snapshot is older than a competing commit never deletes or keeps a wrong row."""

import threading
import time
from collections.abc import Callable

import pytest
from sqlalchemy import Connection, text

from schema.engine import autocommit, reading
from schema.queries import page as pages
from schema.queries import stream, stream_view
from schema.queries.page import MovementRow, PageOutcome, PageWrite
from schema.queries.stream import Closing, Lease, RunRow
from tests.conftest import Database
from tests.unit.schema.test_page import LEASE_S, Ledger, row, totals

BLOCKED = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock'
"""
NOT_APPLIED = PageOutcome(applied=False, contradicted=0, inserted=0, deleted=0)
CLOSING = Closing(
    state="pending",
    due_in_s=-1.0,
    attempts=0,
    provider="etherscan",
    page_rows=None,
    pass_head=None,
    synced=False,
    error=None,
)
RUN = RunRow(0.0, 0, 0, 0, 0, 0, "done", None)

Rivalry = Callable[[Connection], object]


class Duel:
    """A stream with a settled block 9, a tail up to 19, and an owner about to assert the tail."""

    def __init__(self, database: Database) -> None:
        self.ledger = Ledger(database)
        one, two, *_ = self.ledger.assets
        assert one is not None
        assert two is not None
        self.before = [row(9, 1, one), row(12, 1, one, 7), row(15, 1, two, 8)]
        held = self.ledger.lease()
        self.ledger.write(held, 0, 19, self.before, settle_to=9)
        self.ledger.end_pass(held)
        self.owner = self.ledger.lease()
        # Keeps one row, changes one, drops one and adds one.
        self.told = [self.before[0], row(12, 1, one, 70), row(18, 1, two, 1)]
        self.rival_told = [self.before[0], row(12, 1, one, 700), row(16, 1, two, 2)]

    def page(self, held: Lease, rows: list[MovementRow], settle_to: int = 9) -> PageWrite:
        return PageWrite(
            stream_id=self.ledger.stream_id,
            token=held.token,
            lo=9,
            next_block=20,
            settle_to=settle_to,
            pass_head=25,
            lease_s=LEASE_S,
            anchors=None,
            rows=rows,
        )

    def fight(self, rivalry: Rivalry, *, commit: bool = True) -> PageOutcome:
        """Begin the owner's page while ``rivalry`` holds the stream's row, then let that end."""
        engine = self.ledger.database.engine
        outcomes: list[PageOutcome] = []

        def late() -> None:
            with autocommit(engine) as connection:
                outcomes.append(pages.write_page(connection, self.page(self.owner, self.told)))

        thread = threading.Thread(target=late)
        with engine.connect() as other, other.begin() as transaction:
            rivalry(other)
            thread.start()
            self._wait_until_it_waits()
            if not commit:
                transaction.rollback()
        thread.join()
        [outcome] = outcomes
        return outcome

    def _wait_until_it_waits(self) -> None:
        give_up = time.monotonic() + 20
        with reading(self.ledger.database.engine) as connection:
            while not connection.execute(text(BLOCKED)).scalar_one():
                assert time.monotonic() < give_up, "the page waits for nobody"
                time.sleep(0.01)  # noqa: TID251 - another thread takes real time

    def assert_holds(self, rows: list[MovementRow]) -> None:
        assert self.ledger.rows() == rows
        assert self.ledger.balances() == totals(rows)
        assert self.ledger.agrees()

    def steal(self, connection: Connection) -> Lease:
        """Another run takes the stream inside the rival's transaction, its lease having ended."""
        past = "UPDATE tallybook.stream SET lease_until = 'epoch', due_at = created_at"
        connection.execute(text(past))
        held = stream.lease(connection, self.ledger.stream_id, lease_s=LEASE_S, holder="thief")
        assert held is not None
        return held


@pytest.fixture(params=["postgres"])
def dialect(request: pytest.FixtureRequest) -> str:
    """SQLite has one writer at a time: no snapshot is older than a commit."""
    chosen: str = request.param
    return chosen


@pytest.fixture
def duel(database: Database) -> Duel:
    return Duel(database)


def test_the_same_page_delivered_by_two_counts_once(duel: Duel) -> None:
    outcome = duel.fight(lambda other: pages.write_page(other, duel.page(duel.owner, duel.told)))

    assert outcome == NOT_APPLIED
    duel.assert_holds(duel.told)


def test_another_page_of_the_same_owner_wins_by_coming_first(duel: Duel) -> None:
    outcome = duel.fight(
        lambda other: pages.write_page(other, duel.page(duel.owner, duel.rival_told))
    )

    assert outcome == NOT_APPLIED
    duel.assert_holds(duel.rival_told)


def test_a_page_that_settled_everything_is_not_contradicted_by_a_late_one(duel: Duel) -> None:
    outcome = duel.fight(
        lambda other: pages.write_page(other, duel.page(duel.owner, duel.rival_told, 19))
    )

    assert outcome == NOT_APPLIED
    duel.assert_holds(duel.rival_told)


def test_a_thief_without_a_page_leaves_what_there_was(duel: Duel) -> None:
    assert duel.fight(duel.steal) == NOT_APPLIED
    duel.assert_holds(duel.before)


def test_a_thief_who_wrote_wins(duel: Duel) -> None:
    def rivalry(other: Connection) -> None:
        pages.write_page(other, duel.page(duel.steal(other), duel.rival_told))

    assert duel.fight(rivalry) == NOT_APPLIED
    duel.assert_holds(duel.rival_told)


def test_a_thief_whose_cursor_is_back_where_the_page_begins_wins(duel: Duel) -> None:
    def rivalry(other: Connection) -> None:
        held = duel.steal(other)
        pages.write_page(other, duel.page(held, duel.rival_told))
        stream.close(other, held, CLOSING, RUN)
        assert duel.steal(other).next_block == 9

    assert duel.fight(rivalry) == NOT_APPLIED
    duel.assert_holds(duel.rival_told)


def test_a_page_of_a_lease_that_was_closed_is_nothing(duel: Duel) -> None:
    outcome = duel.fight(lambda other: stream.close(other, duel.owner, CLOSING, RUN))

    assert outcome == NOT_APPLIED
    duel.assert_holds(duel.before)


@pytest.mark.parametrize("rewind_to", [-1, 5, 9])
def test_a_page_of_a_lease_that_was_rewound_is_nothing(duel: Duel, rewind_to: int) -> None:
    closing = CLOSING._replace(rewind_to=rewind_to, anchors="[]")

    outcome = duel.fight(lambda other: stream.close(other, duel.owner, closing, RUN))

    assert outcome == NOT_APPLIED
    duel.assert_holds(duel.before)
    assert duel.ledger.lease().settled_block == rewind_to


def test_a_rival_that_rolled_back_never_was(duel: Duel) -> None:
    outcome = duel.fight(
        lambda other: pages.write_page(other, duel.page(duel.owner, duel.rival_told)), commit=False
    )

    assert outcome == PageOutcome(applied=True, contradicted=0, inserted=2, deleted=2)
    duel.assert_holds(duel.told)


def test_somebody_who_asks_for_the_stream_does_not_stop_its_page(duel: Duel) -> None:
    stream_id = duel.ledger.stream_id

    outcome = duel.fight(lambda other: stream_view.mark_due(other, [stream_id]))

    assert outcome.applied
    duel.assert_holds(duel.told)
