"""Engines and the three ways to use them: one engine step, one HTTP write, one consistent read."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import URL, Connection, Engine, StaticPool, create_engine, event, make_url
from sqlalchemy.exc import DisconnectionError
from sqlmodel import Session

from schema.tables.base import SCHEMA
from schema.types import micros_of

BUSY_TIMEOUT_S = 10.0
READ_ONLY = "tallybook_read"
RESTS_SINCE = "tallybook_rests_since"
TRUSTED_S = 1.0
POOL_WAIT_S = 10.0
POOL_SIZE = 6
# A server that is silent, or gone without a word, is given up; libpq waits for ever by itself.
_LIMITS = {
    "connect_timeout": 10,
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
BINARY = "tallybook_binary"
BINARY_FORMAT = 1  # psycopg.pq.Format.BINARY


def make_engine(url: str, *, now: Callable[[], datetime], pool_size: int = POOL_SIZE) -> Engine:
    """An engine for Postgres or SQLite.

    Args:
        url: ``postgres://``, ``postgresql://`` (both are taken as psycopg 3) or ``sqlite:///``.
        now: The clock of an SQLite database, which has none of its own; Postgres uses its server's.
        pool_size: Connections at most, opened as they are needed and kept.

    Raises:
        ValueError: The URL is of another database.
    """
    parsed = _parse(url)
    if parsed.get_backend_name() == "sqlite":
        return _sqlite(parsed, now)
    engine = create_engine(
        parsed,
        pool_size=pool_size,
        # One that is opened for a peak and closed behind it costs more than what it is used for.
        max_overflow=0,
        pool_use_lifo=True,
        pool_timeout=POOL_WAIT_S,
        # Behind a transaction pooler a prepared statement belongs to somebody else's connection.
        connect_args={"prepare_threshold": None, **_LIMITS},
    )
    _ping_after_a_rest(engine)
    _answer_in_binary(engine)
    return engine


def _answer_in_binary(engine: Engine) -> None:
    """Have statements with the option ``BINARY`` answered in binary, which is read much faster.

    Not all of them: SQLAlchemy's own reflection needs texts.
    """

    @event.listens_for(engine, "before_cursor_execute")
    def _set_format(
        _connection: Any, cursor: Any, _sql: Any, _parameters: Any, context: Any, _many: Any
    ) -> None:
        if context.execution_options.get(BINARY):
            cursor.format = BINARY_FORMAT


def _ping_after_a_rest(engine: Engine) -> None:
    """Have a connection tried before use, but only one that somebody may have cut meanwhile.

    A ping costs a whole round trip, as much as most statements; between two calls of a busy
    process it tells nothing.
    """

    @event.listens_for(engine, "checkin")
    def _rests(_connection: Any, record: Any) -> None:
        record.info[RESTS_SINCE] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def _try(connection: Any, record: Any, _proxy: Any) -> None:
        since = record.info.get(RESTS_SINCE)
        if since is None or time.monotonic() - since < TRUSTED_S:
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as exc:
            message = "the connection was cut while it rested"
            raise DisconnectionError(message) from exc


def _parse(url: str) -> URL:
    """The URL with our driver named."""
    parsed = make_url(re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", url))
    if parsed.get_backend_name() not in {"postgresql", "sqlite"}:
        message = (
            f"DATABASE_URL must start with postgresql:// or sqlite:///, not {parsed.drivername}://"
        )
        raise ValueError(message)
    return parsed


def _sqlite(url: URL, now: Callable[[], datetime]) -> Engine:
    """SQLite in WAL mode where every write begins with BEGIN IMMEDIATE."""
    in_memory = url.database in {None, "", ":memory:"}
    engine = create_engine(
        url,
        connect_args={"check_same_thread": False, "timeout": BUSY_TIMEOUT_S},
        execution_options={"schema_translate_map": {SCHEMA: None}},
        **({"poolclass": StaticPool} if in_memory else {}),
    )

    @event.listens_for(engine, "connect")
    def _set_up(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        connection.create_function("tallybook_now", 0, lambda: micros_of(now()))
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # BEGIN, read, then write fails "database is locked" at once, whatever the timeout.
        reads = connection.get_execution_options().get(READ_ONLY)
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    return engine


@contextmanager
def autocommit(engine: Engine) -> Iterator[Connection]:
    """A connection for one engine step.

    On Postgres every statement commits by itself and no transaction is ever open while we wait for
    the network; on SQLite the step is one BEGIN IMMEDIATE transaction.
    """
    if engine.dialect.name == "sqlite":
        with engine.begin() as connection:
            yield connection
        return
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        yield connection


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A connection for reads only, which never takes SQLite's write lock."""
    if engine.dialect.name == "sqlite":
        with engine.connect().execution_options(**{READ_ONLY: True}) as connection:
            yield connection
        return
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        yield connection


@contextmanager
def snapshot(engine: Engine) -> Iterator[Connection]:
    """A connection whose reads all see one state of the database."""
    if engine.dialect.name == "sqlite":
        with reading(engine) as connection:
            yield connection
        return
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        yield connection


@contextmanager
def session_scope(engine: Engine) -> Iterator[Session]:
    """A session for one HTTP write: commits at the end, rolls back on any error."""
    with Session(engine, expire_on_commit=False) as session, session.begin():
        yield session
