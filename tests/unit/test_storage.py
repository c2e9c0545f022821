"""What a database's errors are taken for: real ones of real databases, and what drivers say."""

from typing import Any

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DataError, DBAPIError, InternalError, OperationalError

from shared import errors
from shared.errors import StorageError
from shared.seams import SqlUnit
from shared.storage import meaning_of
from tests.benches import Bench
from tests.conftest import Database


def failure(database: Database, statement: str) -> StorageError:
    """What a step becomes that says this."""
    prefix = "" if database.dialect == "sqlite" else "tallybook."
    said = text(statement.format(t=prefix))
    with pytest.raises(StorageError) as caught:
        SqlUnit(database.engine).run("probe", lambda connection: connection.execute(said))
    return caught.value


@pytest.mark.parametrize("statement", ["INSERT INTO {t}wallet (id) VALUES (1)", "SELECT FROM FROM"])
def test_what_can_never_succeed_is_not_worth_a_retry(database: Database, statement: str) -> None:
    error = failure(database, statement)

    assert (error.code, error.retryable) == ("storage_refused", False)
    assert error.detail.startswith("the database refused what was written at step probe: ")
    assert "\n" not in error.detail


@pytest.mark.parametrize("dialect", ["postgres"])
@pytest.mark.parametrize(
    "statement", ["SELECT 1 FROM {t}nothing", "SELECT nothing FROM {t}wallet", "SELECT 1 FROM no.t"]
)
def test_missing_tables_and_columns_ask_for_init(database: Database, statement: str) -> None:
    error = failure(database, statement)

    assert (error.code, error.how_to_fix) == ("storage_schema", "Run tallybook init.")


def test_a_page_that_the_database_will_never_take_stops_its_stream_and_says_why(
    database: Database,
) -> None:
    bench = Bench(database)
    if database.dialect == "sqlite":
        rule = "CREATE TRIGGER never BEFORE INSERT ON movement BEGIN SELECT RAISE(ABORT, 'no'); END"
    else:
        rule = "ALTER TABLE tallybook.movement ADD CONSTRAINT never CHECK (false)"
    with database.engine.begin() as connection:
        connection.execute(text(rule))

    [chunk] = bench.step()

    assert (chunk.outcome, chunk.state) == ("stopped", "stopped")
    assert chunk.error is not None
    assert chunk.error[0] == bench.stream()["error_code"] == "storage_refused"
    assert bench.held() == []


@pytest.mark.parametrize(
    ("kind", "said", "meaning"),
    [
        (OperationalError, psycopg.errors.AdminShutdown("x"), errors.StorageUnreachableError),
        (OperationalError, psycopg.errors.CannotConnectNow("x"), errors.StorageUnreachableError),
        (OperationalError, psycopg.errors.ConnectionFailure("x"), errors.StorageUnreachableError),
        (OperationalError, psycopg.OperationalError("refused"), errors.StorageUnreachableError),
        (OperationalError, psycopg.errors.DeadlockDetected("x"), StorageError),
        (OperationalError, psycopg.errors.QueryCanceled("x"), StorageError),
        (InternalError, psycopg.errors.DataCorrupted("x"), StorageError),
        (DataError, psycopg.DataError("NUL in a text"), errors.StorageRefusedError),
        (DBAPIError, psycopg.Error("what?"), StorageError),
    ],
)
def test_an_error_is_told_by_its_code_and_without_one_by_its_class(
    kind: type[DBAPIError], said: Any, meaning: type[StorageError]
) -> None:
    assert meaning_of(kind("SELECT secret", {}, said)) is meaning
