"""``postgres``: sent with the closing transaction, or known not to be."""

import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from schema.engine import make_engine
from shared.clock import Deadline, SystemClock
from shared.emulator.world import World, WorldConfig
from shared.triggers.base import Caller
from shared.triggers.postgres import PostgresTrigger
from tests.conftest import Database
from tests.flows.test_chain import STUB_OF_PG_NET
from tests.rigs import Rig


@pytest.fixture
def trigger(postgres_url: str) -> Iterator[PostgresTrigger]:
    clock = SystemClock()
    engine = make_engine(postgres_url, now=clock.now)
    with engine.begin() as connection:
        connection.exec_driver_sql(STUB_OF_PG_NET, execution_options={"no_parameters": True})
    yield PostgresTrigger(Caller(clock, "key", "https://app.example", "/api/x"), engine)
    engine.dispose()


def _sent(trigger: PostgresTrigger) -> int:
    with trigger._engine.connect() as connection:
        return int(connection.exec_driver_sql("SELECT count(*) FROM net.queue").scalar_one())


def _fire(trigger: PostgresTrigger) -> None:
    trigger.fire(Deadline.after(SystemClock(), 10))


def test_a_closing_that_failed_has_sent_nothing(trigger: PostgresTrigger) -> None:
    assert trigger.in_closing() is not None  # and then its transaction fails

    _fire(trigger)

    assert _sent(trigger) == 1


def test_a_closing_that_committed_needs_no_second_call(trigger: PostgresTrigger) -> None:
    assert trigger.in_closing() is not None
    trigger.closed()

    _fire(trigger)
    assert _sent(trigger) == 0
    _fire(trigger)
    assert _sent(trigger) == 1


def test_a_closing_of_another_run_sends_nothing_for_this_one(trigger: PostgresTrigger) -> None:
    def other() -> None:
        trigger.in_closing()
        trigger.closed()

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    _fire(trigger)

    assert _sent(trigger) == 1


@pytest.mark.parametrize("dialect", ["postgres"])
def test_a_database_without_pg_net_closes_all_the_same(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    rig = Rig(database, World(5, WorldConfig(wallets=1, coins=2, blocks=60)))
    caller = Caller(database.clock, "key", "https://app.example", "/api/x")
    rig.seams = replace(rig.seams, trigger=PostgresTrigger(caller, database.engine))

    report = rig.step(rig.watch(), box_s=2.0)

    outcomes = [chunk.outcome for chunk in report.chunks]
    assert "unfinished" in outcomes
    assert {chunk.error for chunk in report.chunks} == {None}
    with database.engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT outcome FROM tallybook.run").all()
        leased = connection.exec_driver_sql(
            "SELECT count(*) FROM tallybook.stream WHERE lease_until > clock_timestamp()"
        ).scalar_one()
    assert len(rows) == len(report.chunks)
    assert leased == 0
    assert "pg_net" in caplog.text
