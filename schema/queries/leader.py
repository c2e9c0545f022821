"""One leader of many, by a lease that the database's clock ends."""

from sqlalchemy import Connection

from schema.sql import Statement

_LEAD = Statement("""
INSERT INTO {t}leader (role, holder, until) VALUES (:role, :holder, {in:lease_s})
ON CONFLICT (role) DO UPDATE SET holder = excluded.holder, until = excluded.until
WHERE {t}leader.holder = excluded.holder OR {t}leader.until < {now}
""")
_RESIGN = Statement("""
UPDATE {t}leader SET until = {epoch} WHERE role = :role AND holder = :holder
""")


def lead(connection: Connection, role: str, holder: str, lease_s: float) -> bool:
    """Whether ``holder`` leads for the next ``lease_s``: it did, or nobody does any more."""
    return _LEAD.run(connection, role=role, holder=holder, lease_s=lease_s).rowcount == 1


def resign(connection: Connection, role: str, holder: str) -> None:
    """Let somebody else lead at once."""
    _RESIGN.run(connection, role=role, holder=holder)
