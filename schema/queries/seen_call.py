"""Signed calls, each accepted once."""

from sqlalchemy import Connection

from schema.sql import Statement

_NOTE = Statement("""
INSERT INTO {t}seen_call (signature, at) VALUES (:signature, {now}) ON CONFLICT DO NOTHING
""")
_PRUNE = Statement("DELETE FROM {t}seen_call WHERE at < {in:minus_s}")


def is_new(connection: Connection, signature: str) -> bool:
    """Whether nobody has shown this signature before; from now on somebody has."""
    return _NOTE.run(connection, signature=signature).rowcount == 1


def prune(connection: Connection, keep_s: float) -> int:
    """Forget those that are too old to be accepted anyway; how many."""
    return _PRUNE.run(connection, minus_s=-keep_s).rowcount
