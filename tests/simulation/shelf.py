"""One in-memory database for all schedules of a process: emptied between them, not made anew."""

import sqlite3
from collections.abc import Callable
from datetime import datetime
from functools import cache

from sqlalchemy import Engine

from schema.engine import make_engine
from schema.tables import METADATA
from tests.simulation.lua_redis import LuaRedis
from tests.simulation.seams import START


class Shelf:
    """The engine, its raw driver connection, and the clock that the present schedule sets."""

    def __init__(self) -> None:
        self.now: Callable[[], datetime] = lambda: START
        self.engine: Engine = make_engine("sqlite://", now=lambda: self.now())  # noqa: PLW0108 - now changes
        METADATA.create_all(self.engine)
        with self.engine.connect() as connection:
            found = connection.connection.driver_connection
        assert isinstance(found, sqlite3.Connection)
        self.driver = found
        self.redis = LuaRedis(lambda: self.now().timestamp())
        self._tables = [table.name for table in reversed(METADATA.sorted_tables)]

    def clear(self, now: Callable[[], datetime]) -> None:
        """An empty database with another clock."""
        self.now = now
        for table in self._tables:
            self.driver.execute(f"DELETE FROM {table}")
        self.redis.clear()


@cache
def shelf() -> Shelf:
    """This process's shelf."""
    return Shelf()
