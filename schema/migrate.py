"""Moves a database to a revision and says where it stands; only here is alembic imported, late."""

from collections.abc import Callable
from importlib.resources import files
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import BLANK_SCHEMA, Connection, Engine, MetaData, inspect, text

from schema.engine import reading
from schema.tables import METADATA, SCHEMA

if TYPE_CHECKING:
    from alembic.config import Config

NOT_ON = {"sqlite": "uq_asset_identity", "postgresql": "uq_asset_identity_sqlite"}
VERSION_TABLE = "alembic_version"
# Any number will do, as long as nobody else takes it: the bytes of "tallybk".
MIGRATION_LOCK = int.from_bytes(b"tallybk")
LONGEST_LOCK_WAIT_S = 10


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Bring the database to ``revision``; at once with other processes that try the same."""
    from alembic import command  # noqa: PLC0415 - see the module's docstring

    _migrate(engine, lambda config: command.upgrade(config, revision))


def downgrade(engine: Engine, revision: str) -> None:
    """Take the database back to ``revision``; ``base`` leaves nothing of ours."""
    from alembic import command  # noqa: PLC0415 - see the module's docstring

    _migrate(engine, lambda config: command.downgrade(config, revision))


def current(engine: Engine) -> str | None:
    """The revision the database is at, or None for one that was never migrated."""
    with reading(engine) as connection:
        schema = _schema_of(connection)
        if not inspect(connection).has_table(VERSION_TABLE, schema=schema):
            return None
        prefix = f"{schema}." if schema else ""
        found = connection.scalar(text(f"SELECT version_num FROM {prefix}{VERSION_TABLE}"))  # noqa: S608
        return None if found is None else str(found)


def head() -> str:
    """The newest revision of this version of the code; file names start with their revision."""
    versions = (files("schema") / "migrations" / "versions").iterdir()
    return max(entry.name.split("_")[0] for entry in versions if entry.name[0].isdigit())


def models_for(dialect: str) -> MetaData:
    """The models as a database of ``dialect`` has them: without the other one's indexes."""
    # SQLAlchemy wants None for a table and BLANK_SCHEMA for what a foreign key points to.
    schema, referred = cast(
        "Any", (None, BLANK_SCHEMA) if dialect == "sqlite" else (SCHEMA, SCHEMA)
    )
    models = MetaData(naming_convention=METADATA.naming_convention)
    for table in METADATA.sorted_tables:
        copy = table.to_metadata(
            models,
            schema=schema,
            referred_schema_fn=lambda *_: referred,
        )
        for index in [index for index in copy.indexes if index.name == NOT_ON[dialect]]:
            copy.indexes.discard(index)
    return models


def config_for(connection: Connection) -> "Config":
    """What alembic needs to know, without an ini file."""
    from alembic.config import Config  # noqa: PLC0415 - see the module's docstring

    config = Config()
    config.set_main_option(
        "script_location", str(files("schema") / "migrations").replace("%", "%%")
    )
    config.attributes["connection"] = connection
    return config


def _migrate(engine: Engine, step: "Callable[[Config], None]") -> None:
    """Run one alembic command in one transaction that no other migration overlaps."""
    with engine.begin() as connection:
        if connection.dialect.name != "sqlite":  # there BEGIN IMMEDIATE has the whole file
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
            # Who waits for a table keeps all others from it: rather give up and try again.
            connection.execute(text(f"SET LOCAL lock_timeout = '{LONGEST_LOCK_WAIT_S}s'"))
            connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
        step(config_for(connection))
        _remove_if_empty(connection)


def _remove_if_empty(connection: Connection) -> None:
    """After a downgrade to base: the version table, and on Postgres the schema, are ours too."""
    schema = _schema_of(connection)
    qualified = f"{schema}.{VERSION_TABLE}" if schema else VERSION_TABLE
    if connection.scalar(text(f"SELECT count(*) FROM {qualified}")):  # noqa: S608 - our own constants
        return
    connection.execute(text(f"DROP TABLE {qualified}"))
    if schema:
        connection.execute(text(f"DROP SCHEMA {schema}"))


def _schema_of(connection: Connection) -> str | None:
    """Where the tables are: SQLite has no schemas."""
    return None if connection.dialect.name == "sqlite" else SCHEMA
