"""Databases that take no more writes, each for a real reason and for as long as a test wants."""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy import Engine, event, make_url

from schema.tables import SCHEMA
from tests.servers import PostgresServer

FULL_DEVICE = Path("/dev/full")  # every write to it ends with ENOSPC, whoever runs the test
PASSWORD = "made-up"
# Read by every Python that has this folder on its path: a command line gets it as we do.
CUSTOMIZE = "sitecustomize.py"
NO_MORE_PAGES = "PRAGMA max_page_count = 1"  # of what there is, nothing is lost


@dataclass
class Outage:
    """How to take a database away and to give it back, and what a user must be told."""

    url: str  # while all is well
    failing_url: str
    code: str
    says: tuple[str, ...]
    begin: Callable[[str], None]
    end: Callable[[], None]
    extra_path: list[Path] = field(default_factory=list)


class PostgresFiles:
    """The files of one database of a server of our own."""

    def __init__(self, server: PostgresServer, url: str) -> None:
        self._server = server
        self._url = url
        self._put_back: list[tuple[Path, Path | None]] = []

    def fill(self, table: str) -> None:
        """From now on the table cannot grow: what it would grow into is a full device."""
        assert self._server.data is not None
        with psycopg.connect(self._url) as connection:
            query = sql.SQL("SELECT pg_relation_filepath({})").format(f"tallybook.{table}")
            [relative] = connection.execute(query).fetchone() or [None]
        main = self._server.data / str(relative)
        # The map of free space is first written to when a page is full.
        file = main.with_name(f"{main.name}_fsm") if main.stat().st_size else main
        kept = None
        if file == main:
            kept = main.rename(main.with_name(f"{main.name}.kept"))
        file.symlink_to(FULL_DEVICE)
        self._put_back.append((file, kept))
        self.disconnect()

    def free(self) -> None:
        """There is space again."""
        for file, kept in self._put_back:
            file.unlink()
            if kept is not None:
                kept.rename(file)
        self._put_back.clear()
        self.disconnect()

    def disconnect(self) -> None:
        """End every connection: those that are open keep their files and settings."""
        name = make_url(self._url).database
        query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = {}"
        self._server.execute(sql.SQL(query).format(name))


def postgres_full(server: PostgresServer, url: str) -> Outage:
    """No space is left on the device of a table."""
    files = PostgresFiles(server, url)
    says = ("the disk of the database is full", "No space left on device", "Free space")
    return Outage(url, url, "storage_full", says, files.fill, files.free)


def postgres_read_only(server: PostgresServer, url: str) -> Outage:
    """What Supabase does to a project whose disk quota is exceeded."""
    files = PostgresFiles(server, url)
    name = sql.Identifier(str(make_url(url).database))

    def switch(value: str) -> None:
        statement = "ALTER DATABASE {} SET default_transaction_read_only = {}"
        server.execute(sql.SQL(statement).format(name, sql.SQL(value)))
        files.disconnect()

    says = ("the database is read-only", "Supabase", "quota")
    return Outage(
        url, url, "storage_read_only", says, lambda _: switch("on"), lambda: switch("off")
    )


def postgres_denied(server: PostgresServer, url: str) -> Outage:
    """A user who may read everything and write nothing."""
    # Roles belong to the whole server: one of this database's own.
    name = f"{make_url(url).database}_reader"
    role, schema = sql.Identifier(name), sql.Identifier(SCHEMA)
    server.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(role, sql.Literal(PASSWORD)))
    with psycopg.connect(url) as connection:
        connection.execute(sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(schema, role))
        connection.execute(
            sql.SQL("GRANT SELECT ON ALL TABLES IN SCHEMA {} TO {}").format(schema, role)
        )
        tables = "SELECT tablename FROM pg_tables WHERE schemaname = %s"
        for [table] in connection.execute(tables, [SCHEMA]).fetchall():
            # Grants are not enough: rows are hidden from all but their owner.
            policy = "CREATE POLICY reads ON {}.{} FOR SELECT TO {} USING (true)"
            connection.execute(sql.SQL(policy).format(schema, sql.Identifier(table), role))

    def drop() -> None:
        with psycopg.connect(url) as connection:
            connection.execute(sql.SQL("DROP OWNED BY {}").format(role))
            connection.execute(sql.SQL("DROP ROLE {}").format(role))

    reader = make_url(url).set(username=name, password=PASSWORD)
    failing = reader.render_as_string(hide_password=False)
    says = ("the database user may not do this", "permission denied", "Grant")
    return Outage(url, failing, "storage_denied", says, lambda _: None, drop)


def sqlite_full(url: str, folder: Path) -> Outage:
    """SQLite may not make its file any larger."""
    (folder / CUSTOMIZE).write_text(
        "from sqlalchemy import Engine, event\n"
        f"event.listen(Engine, 'connect', lambda found, _: found.execute({NO_MORE_PAGES!r}))\n"
    )

    def limit(connection: sqlite3.Connection, _: Any) -> None:
        connection.execute(NO_MORE_PAGES)

    return Outage(
        url,
        url,
        "storage_full",
        ("the disk of the database is full", "Free space"),
        lambda _: event.listen(Engine, "connect", limit),
        lambda: event.remove(Engine, "connect", limit),
        [folder],
    )


def sqlite_read_only(url: str) -> Outage:
    """A file that can only be read; its mode would not keep root from writing."""
    failing = f"sqlite:///file:{make_url(url).database}?mode=ro&uri=true"
    says = ("the database is read-only", "DATABASE_URL")
    return Outage(url, failing, "storage_read_only", says, lambda _: None, lambda: None)
