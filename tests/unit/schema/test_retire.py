"""What is kept for a time only goes in batches, and nothing else goes with it."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from schema.engine import autocommit, session_scope
from schema.queries import retire, stream, stream_view
from schema.queries.address import database_now
from schema.queries.stream_view import Wanted
from schema.tables import Balance, Run
from shared.ops.verify import verify
from tests.conftest import Database
from tests.factories import make_address, make_asset, make_movement, make_stream, save

DAY_S = 86_400.0
KEEP_S = 30 * DAY_S


class Ledger:
    """An address with a stream that works and one that may rest, both with movements."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.prefix = "" if database.dialect == "sqlite" else "tallybook."
        [address] = save(database.engine, make_address())
        [asset] = save(database.engine, make_asset())
        assert address.id is not None
        assert asset.id is not None
        self.address_id = address.id
        streams = save(
            database.engine,
            make_stream(address_id=address.id),
            make_stream(address_id=address.id, kind="erc20"),
        )
        self.working, self.resting = (int(row.id or 0) for row in streams)
        for stream_id in (self.working, self.resting):
            rows = [make_movement(stream_id=stream_id, asset_id=asset.id) for _ in range(25)]
            save(database.engine, *rows)
            held = Balance(stream_id=stream_id, asset_id=asset.id, amount=25, movements=25)
            save(database.engine, held)

    def rest(self, ago_s: float) -> None:
        """The second stream has rested for so long."""
        self.run(
            f"UPDATE {self.prefix}stream SET resting_since = :at WHERE id = :id",
            id=self.resting,
            at=self.moment(ago_s),
        )

    def moment(self, ago_s: float) -> Any:
        with autocommit(self.database.engine) as connection:
            if self.database.dialect == "postgres":
                ask = text("SELECT clock_timestamp() - make_interval(secs => :s)")
                return connection.execute(ask, {"s": ago_s}).scalar_one()
            now: int = connection.execute(text("SELECT tallybook_now()")).scalar_one()
            return now - int(ago_s * 1e6)

    def run(self, statement: str, **parameters: Any) -> Any:
        with autocommit(self.database.engine) as connection:
            return connection.execute(text(statement), parameters)

    def count(self, table: str, stream_id: int) -> int:
        column = "id" if table == "stream" else "stream_id"
        statement = f"SELECT count(*) FROM {self.prefix}{table} WHERE {column} = :id"
        with autocommit(self.database.engine) as connection:
            return int(connection.execute(text(statement), {"id": stream_id}).scalar_one())

    def counts(self, stream_id: int) -> list[int]:
        return [self.count(table, stream_id) for table in ("stream", "balance", "movement")]

    def delete(self, most: int = 10) -> bool:
        with autocommit(self.database.engine) as connection:
            return retire.delete_rested(connection, KEEP_S, most)

    def want(self) -> list[int]:
        with session_scope(self.database.engine) as session:
            wanted = [Wanted(1, "native", "etherscan"), Wanted(1, "erc20", "etherscan")]
            return stream_view.want(session.connection(), self.address_id, wanted)


@pytest.fixture
def ledger(database: Database) -> Ledger:
    return Ledger(database)


def test_a_stream_that_rested_long_enough_goes_in_batches_and_whole(ledger: Ledger) -> None:
    ledger.rest(KEEP_S + 60)

    left = []
    while ledger.count("stream", ledger.resting):
        assert ledger.delete()
        left.append(ledger.count("movement", ledger.resting))
        assert verify(ledger.database.engine).agrees

    assert left == [15, 5, 0]
    assert ledger.counts(ledger.resting) == [0, 0, 0]
    assert ledger.counts(ledger.working) == [1, 1, 25]
    assert not ledger.delete()


def test_a_stream_that_rests_shorter_stays(ledger: Ledger) -> None:
    ledger.rest(KEEP_S - 60)

    assert not ledger.delete()
    assert ledger.counts(ledger.resting) == [1, 1, 25]


def test_a_stream_that_is_wanted_again_in_time_goes_on(ledger: Ledger) -> None:
    ledger.rest(KEEP_S + 60)

    assert ledger.want() == [ledger.working, ledger.resting]

    assert not ledger.delete()
    assert ledger.counts(ledger.resting) == [1, 1, 25]


def test_a_stream_that_is_wanted_while_it_goes_begins_anew_beside_it(ledger: Ledger) -> None:
    ledger.rest(KEEP_S + 60)
    ledger.delete()

    [working, fresh] = ledger.want()

    assert working == ledger.working
    assert fresh not in {ledger.working, ledger.resting}
    while ledger.count("stream", ledger.resting):
        ledger.delete()
    assert ledger.counts(fresh) == [1, 0, 0]
    assert verify(ledger.database.engine).agrees


def test_a_stream_that_somebody_works_on_is_let_go_only_afterwards(ledger: Ledger) -> None:
    with autocommit(ledger.database.engine) as connection:
        held = stream.lease(connection, ledger.resting, lease_s=30, holder="a")
    assert held is not None
    ledger.rest(KEEP_S + 60)
    assert not ledger.delete()
    assert ledger.counts(ledger.resting) == [1, 1, 25]

    ledger.database.advance(31)

    assert ledger.delete()
    assert ledger.counts(ledger.resting) == [1, 0, 15]


def test_the_token_of_a_stream_that_is_let_go_is_spent(ledger: Ledger) -> None:
    with autocommit(ledger.database.engine) as connection:
        held = stream.lease(connection, ledger.resting, lease_s=30, holder="a")
    assert held is not None
    ledger.rest(KEEP_S + 60)
    ledger.database.advance(31)
    ledger.delete()

    with autocommit(ledger.database.engine) as connection:
        now = stream.standing(connection, ledger.resting)

    assert now is not None
    assert now.token == held.token + 1


def test_old_runs_are_pruned_and_young_ones_are_kept(ledger: Ledger) -> None:
    ages = (1.0, 13.9, 14.1, 400.0)
    with autocommit(ledger.database.engine) as connection:
        now = database_now(connection)
    for age in ages:
        ended = now - timedelta(days=age)
        run = Run(
            stream_id=ledger.working,
            lease_token=1,
            started_at=ended,
            ended_at=ended,
            from_block=0,
            to_block=1,
            pages=1,
            inserted=0,
            deleted=0,
            outcome="done",
        )
        save(ledger.database.engine, run)

    with autocommit(ledger.database.engine) as connection:
        assert retire.prune_runs(connection, 14 * DAY_S) == 2
        assert retire.prune_runs(connection, 14 * DAY_S) == 0

    assert ledger.count("run", ledger.working) == 2
