"""Column types: exact amounts and aware times, on both databases."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, delete, event, text
from sqlalchemy.exc import StatementError
from sqlmodel import Session

from schema.engine import session_scope
from schema.tables import METADATA, Address, Balance, Movement
from schema.types import micros_of, moment_of
from tests.conftest import Database
from tests.factories import make_address, make_movement, make_stream, save

MOST = 2**256 - 1
MOVEMENT = METADATA.tables["tallybook.movement"]


def _stored(database: Database, amount: int) -> int:
    movement = make_movement(amount=amount)
    with session_scope(database.engine) as session:
        session.add(movement)
        session.flush()
        session.expire(movement)
        found = movement.amount
        session.connection().execute(delete(MOVEMENT))
    return found


@pytest.mark.parametrize("amount", [0, 1, -1, MOST, -MOST, 10**78 - 1, 1 - 10**78])
def test_an_amount_comes_back_exact(database: Database, amount: int) -> None:
    found = _stored(database, amount)

    assert found == amount
    assert type(found) is int


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(amount=st.integers(-MOST, MOST))
def test_any_amount_comes_back_exact(database: Database, amount: int) -> None:
    assert _stored(database, amount) == amount


@pytest.mark.parametrize("amount", [10**78, -(10**78)])
def test_an_amount_that_no_movement_can_have_is_refused(database: Database, amount: int) -> None:
    with pytest.raises(StatementError, match="does not fit"):
        save(database.engine, make_movement(amount=amount))


@pytest.mark.parametrize("amount", [1.0, 1e30, True, Decimal(1), "1"])
def test_whatever_may_have_been_rounded_is_refused(database: Database, amount: object) -> None:
    with pytest.raises(StatementError, match="must be an int"):
        save(database.engine, make_movement(amount=amount))


def test_a_sum_goes_beyond_what_one_movement_can(database: Database) -> None:
    (address,) = save(database.engine, make_address())
    (stream,) = save(database.engine, make_stream(address_id=address.id))
    assert stream.id is not None
    total = 1000 * MOST
    save(database.engine, Balance(stream_id=stream.id, asset_id=1, amount=total, movements=1000))

    with session_scope(database.engine) as session:
        found = session.get(Balance, (stream.id, 1))

    assert found is not None
    assert found.amount == total


def test_a_time_without_its_zone_is_refused(database: Database) -> None:
    naive = datetime(2024, 1, 1)  # noqa: DTZ001 - the point

    with pytest.raises(StatementError, match="must carry its zone"):
        save(database.engine, make_address(created_at=naive))


def _in_new_york(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def _set_zone(connection: object, _record: object) -> None:
        if engine.dialect.name != "sqlite":
            with connection.cursor() as cursor:  # type: ignore[attr-defined]
                cursor.execute("SET TIME ZONE 'America/New_York'")
            connection.commit()  # type: ignore[attr-defined]


@pytest.mark.parametrize("hours", [0, 5, -8])
def test_a_time_is_the_same_moment_in_a_session_elsewhere(database: Database, hours: int) -> None:
    moment = datetime(2024, 3, 10, 2, 30, 0, 123456, timezone(timedelta(hours=hours)))
    _in_new_york(database.engine)
    (address,) = save(database.engine, make_address(created_at=moment))

    with Session(database.engine) as session:
        if database.dialect == "postgres":
            assert session.connection().scalar(text("SHOW timezone")) == "America/New_York"
        found = session.get(Address, address.id)

    assert found is not None
    assert found.created_at == moment
    assert found.created_at.tzinfo == UTC


@given(st.datetimes(min_value=datetime(1900, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_microseconds_and_moments_are_the_same_thing(moment: datetime) -> None:
    assert moment_of(micros_of(moment)) == moment


def test_movements_have_one_key_and_bytes_for_hashes(database: Database) -> None:
    movement = make_movement(tx_hash=b"\x00\xff" * 16, counterparty=None)
    save(database.engine, movement)

    with Session(database.engine) as session:
        key = (movement.stream_id, movement.block, movement.pos)
        found = session.get(Movement, key)

    assert found is not None
    assert (found.tx_hash, found.counterparty) == (b"\x00\xff" * 16, None)
