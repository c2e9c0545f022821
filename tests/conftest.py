"""Fixtures for every test: a clock, databases of both kinds, and no environment leaking in."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
from pydantic import AliasChoices
from sqlalchemy import Engine, text

from schema import migrate
from schema.engine import make_engine
from shared.settings import Settings
from tests.fakes import FakeClock
from tests.pooler import Pooler, pgbouncer_binary, pooler
from tests.servers import PostgresServer, postgres_server, redis_server

Dialect = Literal["sqlite", "postgres"]
TIMES = (
    ("stream", "lease_until"),
    ("stream", "due_at"),
    ("sync_job", "ready_at"),
    ("sync_job", "again_at"),
    ("price", "asked_at"),
    ("price", "next_ask_at"),
)


@dataclass
class Database:
    """A migrated database of one test, with a clock that can be moved."""

    engine: Engine
    url: str
    dialect: Dialect
    clock: FakeClock

    def advance(self, seconds: float) -> None:
        """Let time pass for the database, and for the test's clock.

        A Postgres server's clock cannot be moved: what it compares with it moves back instead.
        """
        self.clock.advance(seconds)
        if self.dialect == "postgres":
            with self.engine.begin() as connection:
                for table, column in TIMES:
                    earlier = f"{column} - make_interval(secs => :s) WHERE {column} > 'epoch'"
                    statement = f"UPDATE tallybook.{table} SET {column} = {earlier}"
                    connection.execute(text(statement), {"s": seconds})


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove every variable that settings would read."""
    ours = {name.upper() for name in Settings.model_fields}
    for field in Settings.model_fields.values():
        if isinstance(field.validation_alias, AliasChoices):
            ours |= {str(choice).upper() for choice in field.validation_alias.choices}
    for name in list(os.environ):  # noqa: TID251 - to protect tests from it
        if name.upper() in ours or name.upper().startswith("SOURCE__"):
            monkeypatch.delenv(name)


@pytest.fixture
def clock() -> FakeClock:
    """Time as the test tells it."""
    return FakeClock()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """The server, started on first use; each xdist worker has its own or its own names."""
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_template(postgres: PostgresServer) -> Iterator[str]:
    """A database migrated once, to be copied."""
    name = postgres.create()
    engine = make_engine(postgres.url_of(name), now=FakeClock().now)
    migrate.upgrade(engine)
    engine.dispose()
    yield name
    postgres.drop(name)


@pytest.fixture
def postgres_url(postgres: PostgresServer, postgres_template: str) -> Iterator[str]:
    """A migrated Postgres database of this test's own."""
    name = postgres.create(postgres_template)
    yield postgres.url_of(name)
    postgres.drop(name)


@pytest.fixture(scope="session")
def pgbouncer(postgres: PostgresServer) -> Iterator[Pooler]:
    """A pooler in front of the server, started on first use."""
    if pgbouncer_binary() is None:
        pytest.skip("no PgBouncer here: apt-get install pgbouncer")
    with pooler(postgres.url) as started:
        yield started


@pytest.fixture(params=["direct", "pgbouncer"])
def routed_url(request: pytest.FixtureRequest, postgres_url: str) -> str:
    """A migrated Postgres database, reached directly and through a transaction pooler."""
    if request.param == "direct":
        return postgres_url
    through: Pooler = request.getfixturevalue("pgbouncer")
    return through.url_of(postgres_url)


@pytest.fixture
def empty_postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """A Postgres database without our schema."""
    name = postgres.create()
    yield postgres.url_of(name)
    postgres.drop(name)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database file migrated once, to be copied."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    engine = make_engine(f"sqlite:///{path}", now=FakeClock().now)
    migrate.upgrade(engine)
    engine.dispose()
    return path


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """A migrated SQLite file of this test's own."""
    path = tmp_path / "tallybook.db"
    shutil.copy(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture(params=["sqlite", "postgres"])
def dialect(request: pytest.FixtureRequest) -> Dialect:
    """Each test runs over both databases."""
    chosen: Dialect = request.param
    return chosen


@pytest.fixture
def database(
    dialect: Dialect, clock: FakeClock, request: pytest.FixtureRequest
) -> Iterator[Database]:
    """A migrated database of each kind."""
    url: str = request.getfixturevalue(f"{dialect}_url")
    engine = make_engine(url, now=clock.now)
    yield Database(engine, url, dialect, clock)
    engine.dispose()


@pytest.fixture
def empty_database(
    dialect: Dialect, clock: FakeClock, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Database]:
    """A database of each kind that was never migrated."""
    sqlite = f"sqlite:///{tmp_path / 'empty.db'}"
    url = sqlite if dialect == "sqlite" else str(request.getfixturevalue("empty_postgres_url"))
    engine = make_engine(url, now=clock.now)
    yield Database(engine, url, dialect, clock)
    engine.dispose()


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A Redis server, started on first use."""
    with redis_server() as url:
        yield url
