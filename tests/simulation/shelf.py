"""One in-memory database for all schedules of a process: emptied between them, not made anew."""

import gc
import sqlite3
from collections.abc import Callable
from functools import cache

from sqlalchemy import Engine

from schema.engine import make_engine
from schema.tables import METADATA
from schema.types import micros_of
from tests.simulation.lua_redis import LuaRedis
from tests.simulation.seams import START

MICROS = 1_000_000
START_MICROS = micros_of(START)


class Shelf:
    """The engine, its raw driver connection, and the clock that the present schedule sets."""

    def __init__(self) -> None:
        self.now_s: Callable[[], float] = lambda: 0.0
        self.engine: Engine = make_engine("sqlite://", now=lambda: START)
        METADATA.create_all(self.engine)
        with self.engine.connect() as connection:
            found = connection.connection.driver_connection
        assert isinstance(found, sqlite3.Connection)
        self.driver = found
        # Asked for in nearly every statement: a number at once, not by way of a datetime.
        self.driver.create_function("tallybook_now", 0, self._micros)
        self.redis = LuaRedis(lambda: self._micros() / MICROS)
        self._tables = [table.name for table in reversed(METADATA.sorted_tables)]

    def clear(self, now_s: Callable[[], float]) -> None:
        """An empty database with another clock, in seconds since ``START``."""
        self.now_s = now_s
        self.driver.execute("BEGIN")
        for table in self._tables:
            self.driver.execute(f"DELETE FROM {table}")
        self.driver.execute("COMMIT")
        self.redis.clear()

    def _micros(self) -> int:
        return START_MICROS + int(self.now_s() * MICROS)


def collect_seldom() -> None:
    """A world is garbage as a whole: looking for it in the middle of a schedule costs a fifth."""
    gc.freeze()
    gc.set_threshold(100_000, 50, 1_000)


@cache
def shelf() -> Shelf:
    """This process's shelf."""
    collect_seldom()
    return Shelf()
