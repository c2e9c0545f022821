"""One statement, two dialects: rendered once at import, run on the raw driver.

Compiling a text statement anew costs twenty times what the driver needs to run it, so the engine's
statements are plain strings. A template writes what differs as a token:

    {t}          prefix of our tables: ``tallybook.`` on Postgres, nothing on SQLite
    {now}        the database's clock (the machine's never decides)
    {in:name}    the clock plus the parameter ``name`` in seconds
    {left:expr}  seconds from now until ``expr``, a float
    {any:name}   to be compared with: any of the parameter ``name``, a list of numbers
    {epoch}      1970, our "never was"
    {skip}       FOR UPDATE SKIP LOCKED, or nothing where a write holds the whole database
    :name        a parameter
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, CursorResult

_POSTGRES = {
    "t": "tallybook.",
    "now": "clock_timestamp()",
    "skip": "FOR UPDATE SKIP LOCKED",
    "epoch": "'epoch'::timestamptz",
}
_SQLITE = {"t": "", "now": "tallybook_now()", "skip": "", "epoch": "0"}


class Statement:
    """A template and its two renderings."""

    def __init__(self, template: str) -> None:
        self.postgres = _postgres(template)
        self.sqlite = _sqlite(template)

    def run(self, connection: Connection, **parameters: Any) -> CursorResult[*tuple[Any, ...]]:
        """Execute on the dialect of ``connection``."""
        if connection.dialect.name != "sqlite":
            return connection.exec_driver_sql(self.postgres, parameters)
        for name, value in parameters.items():
            if isinstance(value, list):
                parameters[name] = json.dumps(value)
        return connection.exec_driver_sql(self.sqlite, parameters)

    def run_many(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Execute once per row; nothing for no rows."""
        if rows:
            sql = self.sqlite if connection.dialect.name == "sqlite" else self.postgres
            connection.exec_driver_sql(sql, [dict(row) for row in rows])


def _tokens(template: str, words: Mapping[str, str]) -> str:
    """Replace the plain tokens."""
    return re.sub(r"\{(t|now|skip|epoch)\}", lambda match: words[match[1]], template)


def _postgres(template: str) -> str:
    sql = re.sub(r"\{in:(\w+)\}", r"clock_timestamp() + make_interval(secs => :\1)", template)
    sql = re.sub(r"\{any:(\w+)\}", r"= ANY (:\1)", sql)
    sql = re.sub(r"\{left:([\w.]+)\}", r"extract(epoch FROM \1 - clock_timestamp())::float8", sql)
    return re.sub(r"(?<!:):([a-z_]+)\b", r"%(\1)s", _tokens(sql, _POSTGRES))


def _sqlite(template: str) -> str:
    sql = re.sub(r"\{in:(\w+)\}", r"tallybook_now() + CAST(:\1 * 1000000 AS INTEGER)", template)
    sql = re.sub(r"\{any:(\w+)\}", r"IN (SELECT value FROM json_each(:\1))", sql)
    sql = re.sub(r"\{left:([\w.]+)\}", r"(\1 - tallybook_now()) / 1e6", sql)
    return _tokens(sql, _SQLITE)
