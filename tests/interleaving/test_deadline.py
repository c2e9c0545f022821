"""A page's statement that waits for somebody is ended with the box, and its run ends in time."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import pytest
from sqlalchemy import Connection, Engine, text

from schema.engine import make_engine
from shared.clock import Deadline
from shared.errors import DeadlineExceededError
from shared.ops.verify import verify
from shared.seams import SqlUnit
from tests.benches import Bench
from tests.conftest import Database
from tests.fakes import FakeClock
from tests.rigs import quiet_settings

BOX_S, RESERVE_S, LONG_S = 2.0, 0.5, 100_000.0
RESTING = "UPDATE tallybook.stream SET resting_since = now() WHERE id <> :id"
LOCKS = {
    "stream": "SELECT 1 FROM tallybook.stream FOR UPDATE",
    "balance": "SELECT 1 FROM tallybook.balance FOR UPDATE",
    "movement": "LOCK TABLE tallybook.movement IN ACCESS EXCLUSIVE MODE",
}


class WallClock(FakeClock):
    """Real time: a server waits in no other."""

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float, deadline: Deadline) -> None:
        super().sleep(seconds, deadline)
        time.sleep(seconds)  # noqa: TID251 - real time


@pytest.fixture
def database(routed_url: str) -> Iterator[Database]:
    clock = WallClock()
    engine = make_engine(routed_url, now=clock.now)
    yield Database(engine, routed_url, "postgres", clock)
    engine.dispose()


@pytest.fixture
def bench(database: Database) -> Bench:
    bench = Bench(database)
    bench.rig.settings = quiet_settings(refresh_s=300.0, reserve_s=RESERVE_S)
    bench.source.takes_s = 0.0
    return bench


@dataclass
class Blocker:
    """Somebody whose transaction stays open until it is told to end."""

    engine: Engine
    stack: ExitStack

    def take(self, what: str) -> None:
        connection = self.stack.enter_context(self.engine.connect())
        connection.execute(text(LOCKS[what]))

    def give_back(self) -> None:
        self.stack.close()


@pytest.fixture
def blocker(database: Database) -> Iterator[Blocker]:
    with ExitStack() as stack:
        yield Blocker(database.engine, stack)


@pytest.mark.parametrize("what", LOCKS)
def test_page_that_waits_is_ended_and_the_next_run_goes_on(
    bench: Bench, blocker: Blocker, what: str
) -> None:
    bench.unit.after["page"] = partial(blocker.take, what)
    begin = time.monotonic()

    [chunk] = bench.step(BOX_S)

    took_s = time.monotonic() - begin
    assert took_s < BOX_S
    assert took_s > BOX_S - RESERVE_S - 0.2  # not given up before its time either
    assert (chunk.outcome, chunk.state, chunk.pages) == ("unfinished", "pending", 1)
    blocker.give_back()
    told = sorted((row.block, draft.amount) for row in bench.source.rows for draft in row.drafts)
    held = sorted(bench.held())
    assert 0 < len(held) < len(told)
    assert held == told[: len(held)]
    assert verify(bench.database.engine).agrees

    bench.database.advance(LONG_S)  # who holds the stream's row keeps it from being closed as well
    [chunk] = bench.step(LONG_S)

    assert chunk.outcome == "done"
    assert bench.holds_what_the_provider_says()


@pytest.mark.parametrize("what", ["stream", "movement"])
def test_first_page_that_waits_for_a_whole_box_is_asked_for_smaller(
    bench: Bench, blocker: Blocker, what: str
) -> None:
    bench.unit.before["page"] = partial(blocker.take, what)
    begin = time.monotonic()

    [chunk] = bench.step(BOX_S)

    assert time.monotonic() - begin < BOX_S
    assert chunk.error is not None
    ended = ("unfinished", "deadline") if what == "stream" else ("snoozed", "box_too_short")
    assert (chunk.outcome, chunk.error[0], chunk.pages) == (*ended, 0)
    blocker.give_back()
    assert bench.held() == []

    bench.database.advance(LONG_S)
    [chunk] = bench.step(LONG_S)

    assert chunk.outcome == "done"
    assert bench.holds_what_the_provider_says()


def test_queue_looks_again_at_a_stream_that_could_not_be_closed(
    bench: Bench, blocker: Blocker
) -> None:
    with bench.database.engine.begin() as connection:
        connection.execute(text(RESTING), {"id": bench.id})
    sync = bench.rig.engine(lambda _: bench.source)
    sync.sweep()
    bench.unit.after["page"] = partial(blocker.take, "stream")
    begin = time.monotonic()

    report = sync.run(Deadline.after(bench.database.clock, BOX_S))

    assert time.monotonic() - begin < BOX_S
    assert report.more
    assert [chunk.outcome for chunk in report.chunks] == ["unfinished"]
    blocker.give_back()
    stats = bench.rig.seams.queue.stats()
    assert (stats.claimed, stats.buried) == (0, 0)
    for _ in range(3):
        bench.database.advance(LONG_S)
        sync.run(Deadline.after(bench.database.clock, LONG_S))
    assert bench.stream()["state"] == "up_to_date"
    assert bench.holds_what_the_provider_says()


def insert(number: int, nap_s: float) -> Callable[[Connection], object]:
    """A statement that takes about so long."""
    query = text("INSERT INTO tallybook.probe SELECT :number FROM pg_sleep(:nap_s)")
    return lambda connection: connection.execute(query, {"number": number, "nap_s": nap_s})


def test_no_late_cancel_meets_the_next_statement(database: Database) -> None:
    """Steps that end just as they are ended: each is whole or not at all, and no other is hit."""
    unit = SqlUnit(database.engine)
    with database.engine.begin() as connection:
        connection.execute(text("CREATE TABLE tallybook.probe (number int)"))
    done = []
    for number in range(60):
        nap_s = 0.09 + number % 20 / 1000  # the least that a step has is 0.1 s
        by = Deadline.after(database.clock, 0.0)
        try:
            unit.run("probe", insert(number, nap_s), by=by)
        except DeadlineExceededError:
            pass
        else:
            done.append(number)
        unit.run("next", lambda connection: connection.execute(text("SELECT pg_sleep(0.002)")))

    def numbers(connection: Connection) -> list[int]:
        return list(connection.scalars(text("SELECT number FROM tallybook.probe ORDER BY 1")))

    assert 0 < len(done) < 60
    assert unit.run("numbers", numbers) == done
