"""A deployment has no more runs at once than it may, however often it is called."""

import threading

from functions.slots import one_of
from shared.clock import Deadline, SystemClock
from shared.seams import SqlUnit
from tests.conftest import Database

MOST, CALLERS = 3, 12


def test_no_more_are_at_work_than_may_be(database: Database) -> None:
    unit, deadline = SqlUnit(database.engine), Deadline.after(SystemClock(), 60)
    lock, at_once, all_asked = threading.Lock(), [], threading.Barrier(CALLERS)

    def call() -> None:
        with one_of(unit, MOST, deadline) as slot:
            with lock:
                at_once.append(slot)
            all_asked.wait(30)

    threads = [threading.Thread(target=call) for _ in range(CALLERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    taken = [slot for slot in at_once if slot is not None]
    assert sorted(taken) == ["run/0", "run/1", "run/2"]
    with one_of(unit, MOST, deadline) as again:
        assert again is not None


def test_the_slot_of_a_run_that_died_ends_with_its_box(database: Database) -> None:
    unit = SqlUnit(database.engine)
    dead = one_of(unit, 1, Deadline.after(database.clock, 0))
    assert dead.__enter__() == "run/0"
    with one_of(unit, 1, Deadline.after(database.clock, 60)) as slot:
        assert slot is None

    database.clock.advance(3)
    if database.dialect == "postgres":
        with database.engine.begin() as connection:
            connection.exec_driver_sql(
                "UPDATE tallybook.leader SET until = until - interval '3 seconds'"
            )

    with one_of(unit, 1, Deadline.after(database.clock, 60)) as slot:
        assert slot == "run/0"
    dead.__exit__(None, None, None)
