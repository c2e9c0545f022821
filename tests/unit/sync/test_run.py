"""A run fills its box, from the queue or from the ledger, and leaves alone what is not free."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import pytest
from sqlalchemy import Connection, text

from schema.engine import autocommit, reading
from schema.queries import stream
from schema.sql import Statement
from shared import holder
from shared.clock import Deadline, SystemClock
from shared.emulator.world import World, WorldConfig
from shared.heads import Heads
from shared.queue.base import QueueStats, WakeUp
from shared.seams import Pacer, Seams, SqlUnit, Threads
from shared.sync.run import RunReport, SyncEngine
from tests import truth
from tests.benches import Bench
from tests.conftest import Database
from tests.rigs import ListSource, Rig, coin_row, quiet_settings

T = TypeVar("T")
_RUNS = Statement("SELECT stream_id, outcome, lease_token FROM {t}run ORDER BY id")
MANY = 100
EMPTY = QueueStats(0, 0, 0, 0)


class Yard:
    """The six streams of one address, the queue, and a provider made of a list."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.rig = Rig(
            database,
            World(1, WorldConfig(wallets=1, blocks=1)),
            settings=quiet_settings(refresh_s=300.0, lease_s=30.0),
        )
        self.source = ListSource(database.clock)
        self.ids = self.rig.watch()
        self.queue = self.rig.seams.queue
        self.sync = self.rig.engine(lambda _: self.source)

    def run(self, box_s: float = 1000.0) -> RunReport:
        return self.sync.run(Deadline.after(self.database.clock, box_s))

    def step(self, box_s: float = 1000.0) -> RunReport:
        return self.rig.step(self.ids, box_s, self.sync)

    def take(self, stream_id: int, holder_name: str = "somebody") -> stream.Lease:
        with autocommit(self.database.engine) as connection:
            held = stream.lease(connection, stream_id, lease_s=30.0, holder=holder_name)
        assert held is not None
        return held

    def set(self, stream_id: int, assignment: str) -> None:
        prefix = "" if self.database.dialect == "sqlite" else "tallybook."
        with autocommit(self.database.engine) as connection:
            connection.execute(
                text(f"UPDATE {prefix}stream SET {assignment} WHERE id = {stream_id}")
            )

    def worked(self) -> list[int]:
        with reading(self.database.engine) as connection:
            rows: Any = _RUNS.run(connection).all()
        return [row[0] for row in rows]


@pytest.fixture
def yard(database: Database) -> Yard:
    return Yard(database)


def test_a_box_is_filled_with_one_stream_after_another(yard: Yard) -> None:
    report = yard.step()

    assert [chunk.stream_id for chunk in report.chunks] == yard.ids
    assert {chunk.outcome for chunk in report.chunks} == {"done"}
    assert report.next_due_s == pytest.approx(300, rel=0.3)


def test_a_box_that_is_over_leaves_the_rest_due(yard: Yard) -> None:
    yard.source.takes_s = 4.0

    report = yard.step(box_s=10.0)

    assert 0 < len(report.chunks) < len(yard.ids)
    assert report.next_due_s == 0.0
    assert yard.database.clock.monotonic() <= 10.0
    while yard.step(box_s=10.0).chunks:
        pass
    assert sorted(set(yard.worked())) == yard.ids


def test_a_box_without_time_does_nothing(yard: Yard) -> None:
    assert yard.step(box_s=0.0).chunks == ()
    assert yard.source.asked == []


def test_one_slow_page_does_not_keep_all_later_boxes_idle(yard: Yard) -> None:
    yard.source.takes_s = 9.0
    yard.step(box_s=10.0)
    yard.source.takes_s = 0.1

    assert len(yard.step(box_s=10.0).chunks) >= 5


def test_a_run_fills_its_box_from_the_queue(yard: Yard) -> None:
    assert yard.sync.sweep() == len(yard.ids)

    report = yard.run()

    assert sorted(chunk.stream_id for chunk in report.chunks) == yard.ids
    assert yard.queue.stats() == EMPTY
    assert yard.sync.sweep() == 0


def test_a_wake_up_that_the_box_had_no_time_for_waits_for_the_next_run(yard: Yard) -> None:
    yard.source.takes_s = 4.0
    yard.sync.sweep()

    report = yard.run(box_s=10.0)

    assert 0 < len(report.chunks) < len(yard.ids)
    assert yard.queue.stats().claimed == 0
    assert yard.queue.stats().ready >= len(yard.ids) - len(report.chunks)


def test_an_unfinished_stream_is_woken_again_and_a_finished_one_is_not(yard: Yard) -> None:
    yard.source.rows = [coin_row(block) for block in range(60)]
    yard.source.takes_s = 3.0
    yard.queue.push(WakeUp(yard.ids[2]))

    [first] = yard.run(box_s=8.0).chunks
    assert first.outcome == "unfinished"
    assert yard.queue.stats().ready == 1
    yard.source.takes_s = 0.1
    yard.run()

    assert yard.queue.stats() == EMPTY


def test_a_snoozed_stream_is_woken_when_its_wait_is_over(yard: Yard) -> None:
    yard.set(yard.ids[0], "settled_block = 500")
    yard.queue.push(WakeUp(yard.ids[0]))

    [chunk] = yard.run().chunks

    assert chunk.state == "snoozed"
    assert yard.queue.stats() == QueueStats(ready=0, delayed=1, claimed=0, buried=0)
    yard.database.advance(chunk.due_in_s + 1)
    assert len(yard.run().chunks) == 1


def test_a_wake_up_that_comes_too_early_for_a_snoozed_stream_waits(yard: Yard) -> None:
    yard.set(yard.ids[0], "settled_block = 500")
    yard.queue.push(WakeUp(yard.ids[0]))
    yard.run()
    yard.queue.purge()
    yard.queue.push(WakeUp(yard.ids[0], urgent=True))

    assert yard.run().chunks == ()
    assert yard.queue.stats().delayed == 1


def test_a_wake_up_for_what_is_up_to_date_is_only_a_look(yard: Yard) -> None:
    yard.step()
    yard.queue.push(WakeUp(yard.ids[0]))

    assert yard.run().chunks == ()
    assert yard.queue.stats() == EMPTY


@pytest.mark.parametrize(
    "assignment", ["state = 'stopped'", "state = 'dead'", "resting_since = created_at"]
)
def test_streams_that_gave_up_or_rest_are_not_worked(yard: Yard, assignment: str) -> None:
    for stream_id in yard.ids:
        yard.set(stream_id, assignment)
        yard.queue.push(WakeUp(stream_id))

    assert yard.run().chunks == ()
    report = yard.step()

    assert (report.chunks, report.next_due_s) == ((), None)
    assert yard.queue.stats() == EMPTY
    assert yard.sync.sweep() == 0
    assert yard.worked() == []


def test_a_wake_up_for_a_stream_that_is_gone_is_dropped(yard: Yard) -> None:
    yard.queue.push(WakeUp(10**6))

    assert yard.run().chunks == ()
    assert yard.queue.stats() == EMPTY


def test_a_stream_that_somebody_works_on_is_looked_at_when_that_lease_ends(yard: Yard) -> None:
    yard.take(yard.ids[0])
    yard.queue.push(WakeUp(yard.ids[0]))

    assert yard.run().chunks == ()
    assert yard.queue.stats() == QueueStats(ready=0, delayed=1, claimed=0, buried=0)
    yard.database.advance(31)

    assert [chunk.stream_id for chunk in yard.run().chunks] == [yard.ids[0]]


def test_a_step_passes_by_what_somebody_works_on_and_says_when_to_come_again(yard: Yard) -> None:
    yard.take(yard.ids[0])

    report = yard.step()

    assert [chunk.stream_id for chunk in report.chunks] == yard.ids[1:]
    assert report.next_due_s is not None
    assert 0 < report.next_due_s <= 30
    yard.database.advance(31)
    assert [chunk.stream_id for chunk in yard.step().chunks] == [yard.ids[0]]


def test_a_stream_lost_once_is_not_tried_again_by_the_same_step(yard: Yard) -> None:
    def stolen(what: str) -> None:
        if what.startswith("fetch"):
            yard.source.hook = lambda _: None
            yard.database.advance(31)
            yard.take(yard.ids[0], "thief")
            yard.database.advance(31)

    yard.source.hook = stolen

    report = yard.step()

    assert [chunk.outcome for chunk in report.chunks] == ["lost", *["done"] * 5]


def dead_process() -> str:
    """The name of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        name = f"{holder._place()}/{process.pid}/{holder._start_of(process.pid)}"
        process.kill()
    return name


def test_a_dead_process_is_taken_over_before_its_lease_ends(yard: Yard) -> None:
    name = dead_process()
    for stream_id in yard.ids:
        yard.take(stream_id, name)

    assert yard.step(box_s=0.0).next_due_s == 0.0, "nothing is to be waited for"
    assert [chunk.outcome for chunk in yard.step().chunks] == ["done"] * len(yard.ids)


def test_a_wake_up_takes_over_from_the_dead_too(yard: Yard) -> None:
    yard.take(yard.ids[0], dead_process())
    yard.queue.push(WakeUp(yard.ids[0]))

    assert [chunk.outcome for chunk in yard.run().chunks] == ["done"]


def test_a_dead_process_that_another_took_over_first_is_left_to_it(database: Database) -> None:
    bench = Bench(database)
    name = dead_process()
    with autocommit(database.engine) as connection:
        assert stream.lease(connection, bench.id, lease_s=30.0, holder=name) is not None

    def outpace() -> None:
        with autocommit(database.engine) as connection:
            taken = stream.lease(
                connection, bench.id, lease_s=30.0, holder="faster", dead_holder=name
            )
        assert taken is not None

    bench.unit.after["standing"] = outpace
    bench.rig.seams.queue.push(WakeUp(bench.id))
    sync = bench.rig.engine(lambda _: bench.source)

    assert sync.run(Deadline.after(database.clock, 100)).chunks == ()
    assert bench.standing().holder == "faster"
    assert bench.rig.seams.queue.stats().delayed == 1


def test_a_stream_that_somebody_takes_first_is_passed_by(database: Database) -> None:
    bench = Bench(database)

    def outpace() -> None:
        with autocommit(database.engine) as connection:
            assert stream.lease(connection, bench.id, lease_s=30.0, holder="faster") is not None

    bench.unit.after["due"] = outpace

    assert bench.step() == []
    assert bench.standing().holder == "faster"


def test_this_process_is_not_taken_for_dead(yard: Yard) -> None:
    yard.take(yard.ids[0], holder.current())

    assert os.getpid()
    assert [chunk.stream_id for chunk in yard.step().chunks] == yard.ids[1:]


def test_an_engine_names_its_process_as_the_holder(database: Database) -> None:
    bench = Bench(database)
    seen: list[str | None] = []
    bench.source.hook = lambda _: seen.append(bench.standing().holder)
    sync = SyncEngine(bench.rig.seams, lambda _: bench.source, bench.rig.settings)

    bench.rig.step([bench.id], sync=sync)

    assert set(seen) == {holder.current()}


def test_the_sweep_wakes_what_is_due_and_free_once(yard: Yard) -> None:
    yard.take(yard.ids[0])
    yard.set(yard.ids[1], "state = 'dead'")

    assert yard.sync.sweep() == 4
    assert yard.sync.sweep() == 4
    assert yard.queue.stats().ready == 4


def test_tidying_leaves_what_is_young(yard: Yard) -> None:
    yard.step()
    yard.sync.tidy()

    assert sorted(yard.worked()) == yard.ids


class Watching:
    """Steps of one engine; notes which stream it works on, and whether another does too."""

    lock = threading.Lock()

    def __init__(self, unit: SqlUnit, at_work: set[int], doubled: list[int]) -> None:
        self._unit = unit
        self._at_work = at_work
        self._doubled = doubled
        self._mine = 0

    def run(self, label: str, step: Callable[[Connection], T], *, by: Deadline | None = None) -> T:
        if label == "close":
            with self.lock:
                self._at_work.discard(self._mine)
        found = self._unit.run(label, step, by=by)
        if isinstance(found, stream.Lease):
            with self.lock:
                self._mine = found.stream_id
                self._doubled.extend({self._mine} & self._at_work)
                self._at_work.add(self._mine)
        return found


def test_two_engines_at_once_never_work_one_stream_together(database: Database) -> None:
    world = World(5, WorldConfig(wallets=2, blocks=120, dense_rows=30))
    rigs = [Rig(database, world, latency_s=0.0) for _ in range(2)]
    ids = [stream_id for wallet in world.wallets for stream_id in rigs[0].watch(wallet)]
    at_work: set[int] = set()
    doubled: list[int] = []
    failures: list[BaseException] = []
    clock, pool = SystemClock(), Threads(4)

    def work(rig: Rig, name: str) -> None:
        unit = Watching(SqlUnit(database.engine), at_work, doubled)
        seams = Seams(clock, unit, rig.seams.queue, Pacer(clock, {}), Heads(clock), rig.rng, pool)
        sync = SyncEngine(seams, rig.source, rig.settings, holder=name)
        try:
            for _ in range(MANY):
                report = sync.step(ids, Deadline.after(clock, 30))
                if not report.chunks:
                    return
            failures.append(AssertionError(f"{name} finds no end: {report}"))
        except BaseException as exc:  # noqa: BLE001 - told by the test
            failures.append(exc)

    threads = [
        threading.Thread(target=work, args=(rig, f"engine {number}"))
        for number, rig in enumerate(rigs)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pool.close()

    assert failures == []
    assert doubled == []
    with reading(database.engine) as connection:
        rows: Any = _RUNS.run(connection).all()
    tokens = [(row[0], row[2]) for row in rows]
    assert len(tokens) == len(set(tokens)), "each turn had a token of its own"
    for wallet in world.wallets:
        truth.assert_ledger_is_true(database.engine, world, wallet, 1)
