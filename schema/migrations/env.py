"""Run by alembic for each command, on the connection that ``schema.migrate`` opened."""

from alembic import context
from sqlalchemy import Connection

from schema.migrate import models_for
from schema.migrations.postgres import lock_down
from schema.tables.base import SCHEMA


def run() -> None:
    """Configure the context and run the revisions."""
    connection: Connection = context.config.attributes["connection"]
    on_postgres = connection.dialect.name != "sqlite"
    context.configure(
        connection=connection,
        target_metadata=models_for(connection.dialect.name),
        version_table_schema=SCHEMA if on_postgres else None,
        compare_type=True,
    )
    with context.begin_transaction():
        context.run_migrations()
    if on_postgres:
        lock_down(connection)


run()
