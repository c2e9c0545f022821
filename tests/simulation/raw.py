"""The driver's connection with as much of SQLAlchemy's face as the product's statements use.

The statements are the product's own; SQLAlchemy around each would take twenty times as long.
"""

import sqlite3
from collections.abc import Iterator
from typing import Any


class _Dialect:
    name = "sqlite"


class RawResult:
    """What a statement returned."""

    def __init__(self, cursor: sqlite3.Cursor) -> None:
        self._cursor = cursor
        self.rowcount = cursor.rowcount

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return iter(self._cursor)

    def all(self) -> list[tuple[Any, ...]]:
        return self._cursor.fetchall()

    def one_or_none(self) -> tuple[Any, ...] | None:
        rows = self._cursor.fetchmany(2)
        assert len(rows) < 2
        return rows[0] if rows else None

    def one(self) -> tuple[Any, ...]:
        row = self.one_or_none()
        assert row is not None
        return row

    def scalar_one_or_none(self) -> Any:
        row = self.one_or_none()
        return None if row is None else row[0]

    def scalar_one(self) -> Any:
        return self.one()[0]


class RawConnection:
    """One step's connection; begins like the product's engine does."""

    dialect = _Dialect()

    def __init__(self, driver: sqlite3.Connection) -> None:
        self._driver = driver

    def exec_driver_sql(self, sql: str, parameters: Any = ()) -> RawResult:
        if isinstance(parameters, list):
            return RawResult(self._driver.executemany(sql, parameters))
        return RawResult(self._driver.execute(sql, parameters))

    def rollback(self) -> None:
        self._driver.rollback()

    def __enter__(self) -> "RawConnection":
        self._driver.execute("BEGIN IMMEDIATE")
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._driver.in_transaction:
            self._driver.execute("ROLLBACK" if kind else "COMMIT")
