"""A page and its rivals: whoever else may write to the stream while it is under way."""

from sqlalchemy import Connection, text

from schema.queries import page as pages
from schema.queries import stream
from schema.queries.page import MovementRow, PageOutcome, PageWrite
from schema.queries.stream import Closing, Lease, RunRow
from tests.conftest import Database
from tests.interleaving.rivals import Rivalry, late
from tests.unit.schema.test_page import LEASE_S, Ledger, row, totals

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

    def page(
        self, held: Lease, rows: list[MovementRow], settle_to: int = 9, lo: int = 9
    ) -> PageWrite:
        return PageWrite(
            stream_id=self.ledger.stream_id,
            token=held.token,
            lo=lo,
            next_block=20,
            settle_to=settle_to,
            pass_head=25,
            lease_s=LEASE_S,
            anchors=None,
            rows=rows,
        )

    def fight(
        self, rivalry: Rivalry, *, commit: bool = True, told: list[MovementRow] | None = None
    ) -> PageOutcome:
        """Begin the owner's page while ``rivalry`` holds the stream's row, then let that end."""
        page = self.page(self.owner, self.told if told is None else told)
        return late(
            self.ledger.database.engine,
            rivalry,
            lambda connection: pages.write_page(connection, page),
            commit=commit,
        )

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
