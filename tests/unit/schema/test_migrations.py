"""Migrations agree with the models, can be undone and repeated, and leave browsers nothing."""

import subprocess
import sys
from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect, text
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex

from schema import migrate
from schema.engine import make_engine, session_scope
from schema.tables import METADATA, SCHEMA, Address
from tests.conftest import Database
from tests.factories import make_address, save
from tests.fakes import FakeClock
from tests.servers import PostgresServer

CONTENTS = text(
    "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace('tallybook')"
    " UNION ALL SELECT nspname FROM pg_namespace WHERE nspname = 'tallybook'"
)

SEQUENCES_OPEN = text(
    "SELECT sequencename FROM pg_sequences WHERE schemaname = 'tallybook'"
    " AND has_sequence_privilege(:role, 'tallybook.' || sequencename, 'USAGE')"
)

# SQLite cannot show expression indexes: a test of its own compares their text.
pytestmark = [
    pytest.mark.filterwarnings("ignore:autogenerate skipping metadata-specified:UserWarning"),
    pytest.mark.filterwarnings("ignore:Skipped unsupported reflection"),
]


def _differences(engine: Engine) -> list[object]:
    with engine.connect() as connection:
        sqlite = connection.dialect.name == "sqlite"
        options = {
            "include_schemas": not sqlite,
            "include_name": lambda name, kind, _: kind != "schema" or name in {None, SCHEMA},
            "version_table_schema": None if sqlite else SCHEMA,
        }
        context = MigrationContext.configure(connection, opts=options)
        found: list[object] = compare_metadata(context, migrate.models_for(connection.dialect.name))
        return found


def _constraints(engine: Engine) -> set[str | None]:
    """Names of all keys, checks and foreign keys, which autogenerate does not all compare."""
    found: set[str | None] = set()
    with engine.connect() as connection:
        schema = None if connection.dialect.name == "sqlite" else SCHEMA
        inspector = inspect(connection)
        for table in METADATA.sorted_tables:
            found.add(inspector.get_pk_constraint(table.name, schema=schema)["name"])
            found |= {row["name"] for row in inspector.get_foreign_keys(table.name, schema=schema)}
            found |= {
                row["name"] for row in inspector.get_check_constraints(table.name, schema=schema)
            }
            found |= {
                row["name"] for row in inspector.get_unique_constraints(table.name, schema=schema)
            }
    return found


def _expected_constraints() -> set[str | None]:
    names = {
        str(constraint.name) for table in METADATA.sorted_tables for constraint in table.constraints
    }
    return set(names)


def test_models_and_migrations_agree(database: Database) -> None:
    assert _differences(database.engine) == []


def test_sqlite_has_the_expression_index_of_the_model(sqlite_url: str) -> None:
    models = migrate.models_for("sqlite")
    (index,) = (i for i in models.tables["asset"].indexes if i.unique)
    engine = make_engine(sqlite_url, now=FakeClock().now)

    with engine.connect() as connection:
        made = connection.scalar(
            text("SELECT sql FROM sqlite_master WHERE name = 'uq_asset_identity_sqlite'")
        )
    engine.dispose()

    assert made == str(CreateIndex(index).compile(dialect=sqlite.dialect()))


def test_constraints_are_named_by_the_one_convention(database: Database) -> None:
    assert _constraints(database.engine) == _expected_constraints()


def test_head_is_read_from_the_file_names(empty_database: Database) -> None:
    with empty_database.engine.connect() as connection:
        script = ScriptDirectory.from_config(migrate.config_for(connection))

    assert migrate.head() == script.get_current_head()


def test_a_database_tells_where_it_stands(empty_database: Database) -> None:
    assert migrate.current(empty_database.engine) is None

    migrate.upgrade(empty_database.engine)

    assert migrate.current(empty_database.engine) == migrate.head()


def test_downgrade_to_base_leaves_nothing(database: Database) -> None:
    migrate.downgrade(database.engine, "base")

    with database.engine.connect() as connection:
        if database.dialect == "sqlite":
            assert inspect(connection).get_table_names() == []
        else:
            assert connection.scalars(CONTENTS).all() == []
    assert migrate.current(database.engine) is None


def test_upgrade_after_a_downgrade_is_whole_again(database: Database) -> None:
    migrate.downgrade(database.engine, "base")
    migrate.upgrade(database.engine)

    assert _differences(database.engine) == []


def test_a_second_upgrade_changes_nothing(database: Database) -> None:
    address = make_address()
    save(database.engine, address)

    migrate.upgrade(database.engine)

    with session_scope(database.engine) as session:
        assert session.get(Address, address.id) is not None
    assert _differences(database.engine) == []


def test_processes_that_migrate_at_once_all_succeed(empty_database: Database) -> None:
    program = (
        "import sys; from schema import migrate; from schema.engine import make_engine;"
        "from tests.fakes import FakeClock; sys.stdin.read(1);"
        "migrate.upgrade(make_engine(sys.argv[1], now=FakeClock().now))"
    )
    started = [
        subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-c", program, empty_database.url],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for process in started:
        assert process.stdin is not None
        process.stdin.write("x")
        process.stdin.flush()

    outcomes = [(process.communicate(timeout=60)[1], process.returncode) for process in started]

    assert [code for _, code in outcomes] == [0, 0, 0], outcomes
    assert _differences(empty_database.engine) == []


@pytest.fixture
def browser_role(postgres: PostgresServer, empty_postgres_url: str) -> Iterator[str]:
    """The role ``anon``, to which the platform granted everything beforehand."""
    login = "anon"
    with psycopg.connect(empty_postgres_url, autocommit=True) as connection:
        existed = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = 'anon'").fetchone()
        if not existed:
            connection.execute("CREATE ROLE anon")
        connection.execute("CREATE SCHEMA tallybook")
        connection.execute("GRANT ALL ON SCHEMA tallybook TO anon, PUBLIC")
        for what in ("TABLES", "SEQUENCES", "FUNCTIONS"):
            connection.execute(
                psycopg.sql.SQL(
                    "ALTER DEFAULT PRIVILEGES IN SCHEMA tallybook GRANT ALL ON {} TO anon"
                ).format(psycopg.sql.SQL(what))
            )
            connection.execute(
                psycopg.sql.SQL("ALTER DEFAULT PRIVILEGES GRANT ALL ON {} TO anon").format(
                    psycopg.sql.SQL(what)
                )
            )
    yield login
    with psycopg.connect(empty_postgres_url, autocommit=True) as connection:
        connection.execute("DROP OWNED BY anon")
    if not existed:
        postgres.execute("DROP ROLE anon")


def test_what_a_platform_granted_to_browsers_is_gone(
    browser_role: str, empty_postgres_url: str
) -> None:
    engine = make_engine(empty_postgres_url, now=FakeClock().now)
    migrate.upgrade(engine)

    with engine.begin() as connection:
        tables = inspect(connection).get_table_names(schema=SCHEMA)
        granted = [
            (table, right)
            for table in tables
            for right in ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE")
            if connection.scalar(
                text("SELECT has_table_privilege(:role, :table, :right)"),
                {"role": browser_role, "table": f"tallybook.{table}", "right": right},
            )
        ]
        usage = connection.scalar(
            text("SELECT has_schema_privilege(:role, 'tallybook', 'USAGE')"), {"role": browser_role}
        )
        unprotected = connection.scalars(
            text(
                "SELECT relname FROM pg_class WHERE relnamespace = 'tallybook'::regnamespace"
                " AND relkind = 'r' AND NOT relrowsecurity"
            )
        ).all()
        sequences = connection.scalars(SEQUENCES_OPEN, {"role": browser_role}).all()
    engine.dispose()

    assert "movement" in tables
    assert granted == []
    assert usage is False
    assert unprotected == []
    assert sequences == []


def test_rights_granted_later_go_with_the_next_migration(
    browser_role: str, empty_postgres_url: str
) -> None:
    engine = make_engine(empty_postgres_url, now=FakeClock().now)
    migrate.upgrade(engine)
    with engine.begin() as connection:
        connection.execute(text("GRANT SELECT ON ALL TABLES IN SCHEMA tallybook TO anon"))

    migrate.upgrade(engine)

    with engine.begin() as connection:
        assert not connection.scalar(
            text("SELECT has_table_privilege(:role, 'tallybook.wallet', 'SELECT')"),
            {"role": browser_role},
        )
    engine.dispose()


def test_migrating_leaves_the_log_settings_of_the_process_alone(empty_database: Database) -> None:
    import logging  # noqa: PLC0415 - only this test asks

    logger = logging.getLogger(f"mine-{uuid4()}")

    migrate.upgrade(empty_database.engine)

    assert not logger.disabled
