"""What Postgres needs beside tables: nobody but the owner may look.

A hosting platform serves the database to browsers as the roles ``anon`` and ``authenticated``, and
may grant them everything by default privileges. So after every migration they and PUBLIC have
nothing in our schema, and row security without a policy shows them no row should somebody grant it
back. The owner of the tables bypasses it.
"""

from sqlalchemy import Connection, text

from schema.tables.base import SCHEMA

BROWSER_ROLES = ("anon", "authenticated")
KINDS = ("TABLES", "SEQUENCES", "FUNCTIONS")
EXISTING = text("SELECT rolname FROM pg_roles WHERE rolname = ANY(:names)")
OPEN_TABLES = text(
    "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace(:schema)"
    " AND relkind IN ('r', 'p') AND NOT relrowsecurity ORDER BY relname"
)


def lock_down(connection: Connection) -> None:
    """Take every right on our schema from the browser roles, now and for tables to come."""
    found = connection.scalars(EXISTING, {"names": list(BROWSER_ROLES)}).all()
    roles = ", ".join(["PUBLIC", *found])
    connection.execute(text(f"REVOKE ALL ON SCHEMA {SCHEMA} FROM {roles}"))
    for kind in KINDS:
        connection.execute(text(f"REVOKE ALL ON ALL {kind} IN SCHEMA {SCHEMA} FROM {roles}"))
        # Global default privileges outlive this: hence the line above after each migration.
        connection.execute(
            text(f"ALTER DEFAULT PRIVILEGES IN SCHEMA {SCHEMA} REVOKE ALL ON {kind} FROM {roles}")
        )
    for table in connection.scalars(OPEN_TABLES, {"schema": SCHEMA}).all():
        connection.execute(text(f'ALTER TABLE {SCHEMA}."{table}" ENABLE ROW LEVEL SECURITY'))
