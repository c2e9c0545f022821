"""The stream row under leases: one owner at a time, and nothing from those who were."""

import threading
from collections.abc import Callable

import pytest
from sqlalchemy import Connection, text

from schema.engine import autocommit
from schema.queries import stream, stream_view
from schema.queries.stream import Closing, Lease, RunRow, Standing
from tests.conftest import Database
from tests.factories import make_address, make_stream, save

LEASE_S = 30.0
RUN = RunRow(1.5, 0, 9, 1, 2, 3, "done", None)
CLOSING = Closing(
    state="up_to_date",
    due_in_s=300.0,
    attempts=0,
    provider="etherscan",
    page_rows=None,
    pass_head=None,
    synced=True,
    error=None,
)


class Row:
    """One stream that is due."""

    def __init__(self, database: Database) -> None:
        self.database = database
        [address] = save(database.engine, make_address())
        [row] = save(database.engine, make_stream(address_id=address.id))
        assert row.id is not None
        self.id = row.id
        self.table = "stream" if database.dialect == "sqlite" else "tallybook.stream"

    def lease(self, holder: str = "a", dead_holder: str | None = None) -> Lease | None:
        with autocommit(self.database.engine) as connection:
            return stream.lease(
                connection, self.id, lease_s=LEASE_S, holder=holder, dead_holder=dead_holder
            )

    def held(self, holder: str = "a") -> Lease:
        found = self.lease(holder)
        assert found is not None
        return found

    def close(self, held: Lease, **changes: object) -> bool:
        with autocommit(self.database.engine) as connection:
            return stream.close(connection, held, CLOSING._replace(**changes), RUN)  # type: ignore[arg-type]

    def standing(self) -> Standing:
        with autocommit(self.database.engine) as connection:
            found = stream.standing(connection, self.id)
        assert found is not None
        return found

    def set(self, assignment: str) -> None:
        with autocommit(self.database.engine) as connection:
            connection.execute(text(f"UPDATE {self.table} SET {assignment}"))

    def count_runs(self) -> int:
        run = self.table.replace("stream", "run")
        with autocommit(self.database.engine) as connection:
            return int(connection.execute(text(f"SELECT count(*) FROM {run}")).scalar_one())

    def ask(self) -> None:
        with self.database.engine.begin() as connection:
            stream_view.mark_due(connection, [self.id])


@pytest.fixture
def row(database: Database) -> Row:
    return Row(database)


def at_once(works: list[Callable[[], object]]) -> list[object]:
    """What each returns when all begin together."""
    found: list[object] = [None] * len(works)
    barrier = threading.Barrier(len(works))

    def go(number: int, work: Callable[[], object]) -> None:
        barrier.wait()
        found[number] = work()

    threads = [threading.Thread(target=go, args=each) for each in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_a_lease_has_one_owner_until_it_ends(row: Row) -> None:
    first = row.held("a")
    assert row.lease("b") is None
    assert (row.standing().holder, row.standing().token) == ("a", first.token)
    assert 0 < row.standing().lease_left_s <= LEASE_S

    row.database.advance(LEASE_S + 1)

    assert row.held("b").token == first.token + 1


def test_of_many_who_want_a_lease_at_once_one_gets_it(row: Row) -> None:
    found = at_once([lambda number=number: row.lease(f"run {number}") for number in range(5)])  # type: ignore[misc]

    assert sum(each is not None for each in found) == 1


def test_a_token_only_grows(row: Row) -> None:
    tokens = []
    for _ in range(3):
        held = row.held()
        tokens.append(held.token)
        row.close(held, due_in_s=-1.0)
        tokens.append(row.standing().token)

    assert tokens == sorted(set(tokens))


def test_a_lease_tells_how_the_stream_stands(row: Row) -> None:
    row.set("settled_block = 40, next_block = 90, attempts = 2, page_rows = 7, error_code = 'x'")

    held = row.held()

    assert (held.settled_block, held.next_block) == (40, 40), "one settled block is read again"
    assert (held.attempts, held.page_rows, held.error_code, held.kind) == (2, 7, "x", "native")
    assert held.account.startswith("0x")


def test_an_open_pass_goes_on_where_its_last_page_ended(row: Row) -> None:
    row.set("settled_block = 40, next_block = 90, pass_head = 100")

    held = row.held()

    assert (held.next_block, held.pass_head) == (90, 100)


@pytest.mark.parametrize(
    "assignment", ["state = 'stopped'", "state = 'dead'", "resting_since = created_at"]
)
def test_what_gave_up_or_rests_cannot_be_leased(row: Row, assignment: str) -> None:
    row.set(assignment)

    assert row.lease() is None
    with autocommit(row.database.engine) as connection:
        assert stream.due(connection, most=10) == []
        assert stream.waiting(connection, [row.id]) == []


def test_what_is_not_due_cannot_be_leased_until_it_is(row: Row) -> None:
    row.close(row.held())
    assert row.lease() is None
    assert row.standing().due_in_s == pytest.approx(300, abs=5)

    row.database.advance(301)

    assert row.lease() is not None


def test_due_streams_are_listed_longest_due_first_and_free_ones_only(row: Row) -> None:
    [second, third] = save(
        row.database.engine,
        *(make_stream(address_id=1, kind=kind) for kind in ("erc20", "internal")),
    )
    row.database.advance(100)
    assert second.id is not None
    assert third.id is not None
    held = row.held()
    row.close(held, due_in_s=-5.0)
    third_lease = Row.lease(_named(row, third.id))
    assert third_lease is not None

    with autocommit(row.database.engine) as connection:
        assert [due.stream_id for due in stream.due(connection, most=10)] == [second.id, row.id]
        assert [due.stream_id for due in stream.due(connection, most=1)] == [second.id]
        waits = stream.waiting(connection, [row.id, second.id, third.id])
        assert stream.waiting(connection, []) == []
    assert [(wait.stream_id, wait.lease_left_s > 0) for wait in waits] == [
        (second.id, False),
        (third.id, True),
        (row.id, False),
    ]


def _named(row: Row, stream_id: int) -> Row:
    other = object.__new__(Row)
    other.database, other.id, other.table = row.database, stream_id, row.table
    return other


def test_closing_writes_the_run_and_frees_the_stream(row: Row) -> None:
    held = row.held()

    assert row.close(held, error=("code", "sentence", "fix"), due_in_s=-1.0, state="snoozed")

    now = row.standing()
    assert (now.holder, now.state, now.lease_left_s < 0) == (None, "snoozed", True)
    assert row.count_runs() == 1
    assert row.held().error_code == "code"


@pytest.mark.parametrize("rewind_to", [None, 3])
def test_closing_with_a_token_of_the_past_does_nothing(row: Row, rewind_to: int | None) -> None:
    stale = row.held("a")
    row.database.advance(LEASE_S + 1)
    row.held("b")
    before = row.standing()

    assert not row.close(stale, rewind_to=rewind_to, anchors="[]", state="stopped")

    after = row.standing()
    assert (after.token, after.holder, after.state) == (before.token, "b", "pending")
    assert row.count_runs() == 0


def test_closing_twice_counts_once(row: Row) -> None:
    held = row.held()
    assert row.close(held)

    assert not row.close(held)
    assert row.count_runs() == 1


def test_who_asks_while_a_chunk_is_at_work_is_served_after_it(row: Row) -> None:
    held = row.held()
    row.database.clock.advance(1)
    row.ask()

    assert row.close(held)

    assert row.standing().due_in_s <= 0
    assert row.lease() is not None


def test_only_a_rewind_lowers_the_settled_block(row: Row) -> None:
    row.set("settled_block = 40, next_block = 90, pass_head = 100")
    held = row.held()

    assert row.close(held, rewind_to=-1, anchors="[]", state="pending")

    again = row.held()
    assert (again.settled_block, again.next_block, again.pass_head) == (-1, 0, None)


def test_a_dead_holders_lease_is_taken_before_its_end_and_a_living_ones_is_not(row: Row) -> None:
    first = row.held("dead process")

    assert row.lease("b", dead_holder="another process") is None
    taken = row.lease("b", dead_holder="dead process")

    assert taken is not None
    assert taken.token == first.token + 1
    assert not row.close(first)
    assert row.standing().holder == "b"


def test_only_one_takes_over_from_the_dead(row: Row) -> None:
    row.held("dead process")

    found = at_once(
        [lambda n=n: row.lease(f"run {n}", dead_holder="dead process") for n in range(4)]  # type: ignore[misc]
    )

    assert sum(each is not None for each in found) == 1


def test_a_stream_that_is_not_there_has_no_standing_and_no_lease(row: Row) -> None:
    def ask(connection: Connection) -> tuple[object, object]:
        return (
            stream.standing(connection, 10**6),
            stream.lease(connection, 10**6, lease_s=1, holder="a"),
        )

    with autocommit(row.database.engine) as connection:
        assert ask(connection) == (None, None)
