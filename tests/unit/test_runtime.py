"""The composition root: lazy, built once, closable, clear about a database that does not fit."""

import subprocess
import sys

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from schema import migrate
from shared.errors import ConfigError, StorageError
from shared.runtime import Runtime
from shared.settings import Settings
from tests.conftest import Database


def _runtime(url: str, database: Database) -> Runtime:
    return Runtime.from_settings(Settings(database_url=SecretStr(url)), clock=database.clock)


def test_parts_are_built_once_and_anew_after_closing(database: Database) -> None:
    runtime = _runtime(database.url, database)
    first = (runtime.engine, runtime.seams, runtime.sync, runtime.source("blockscout"))

    assert (runtime.engine, runtime.seams, runtime.sync, runtime.source("blockscout")) == first
    runtime.close()
    assert runtime.engine is not first[0]
    runtime.close()


def test_the_cache_is_made_by_its_first_use(database: Database) -> None:
    runtime = _runtime(database.url, database)
    runtime.ensure_schema()
    assert "cache" not in runtime._parts

    made = runtime.cache

    assert runtime.cache is made
    runtime.close()
    assert runtime.cache is not made
    runtime.close()


def test_the_sweep_of_an_empty_ledger_pushes_nothing(database: Database) -> None:
    runtime = _runtime(database.url, database)

    assert runtime.sync.sweep() == 0
    runtime.close()


def test_the_embedded_default_migrates_itself(empty_database: Database) -> None:
    runtime = _runtime(empty_database.url, empty_database)

    if empty_database.dialect == "postgres":
        with pytest.raises(ConfigError, match="no tables") as caught:
            runtime.ensure_schema()
        assert caught.value.how_to_fix == "Run tallybook init."
        migrate.upgrade(runtime.engine)
    runtime.ensure_schema()

    assert migrate.current(runtime.engine) == migrate.head()
    runtime.close()


def test_a_database_of_a_newer_version_is_left_alone(database: Database) -> None:
    prefix = "" if database.dialect == "sqlite" else "tallybook."
    with database.engine.begin() as connection:
        connection.execute(text(f"UPDATE {prefix}alembic_version SET version_num = '9999'"))
    runtime = _runtime(database.url, database)

    with pytest.raises(ConfigError, match="newer"):
        runtime.ensure_schema()
    assert "newer" in (runtime.health().problem or "")
    runtime.close()


def test_a_server_that_does_not_answer_is_a_storage_error_without_its_password(
    database: Database,
) -> None:
    runtime = _runtime("postgresql://user:hunter2@127.0.0.1:1/x", database)

    with pytest.raises(StorageError) as caught:
        runtime.ensure_schema()

    assert "hunter2" not in str(caught.value)
    runtime.close()


@pytest.mark.parametrize("url", ["mysql://u:hunter2@h/x", "hunter2", "postgresql://u:p@h:hunter2/"])
def test_a_url_that_is_none_names_the_variable_and_not_its_value(
    database: Database, url: str
) -> None:
    runtime = _runtime(url, database)

    with pytest.raises(ConfigError, match="DATABASE_URL") as caught:
        runtime.ensure_schema()

    assert "hunter2" not in str(caught.value) + caught.value.how_to_fix


def test_importing_the_application_loads_nothing_that_only_others_need() -> None:
    heavy = ("alembic", "boto3", "bullmq", "uvicorn", "shared.emulator", "rich", "redis")
    program = f"import functions.app, sys; print([m for m in {heavy!r} if m in sys.modules])"

    found = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert found.stdout.strip() == "[]"
