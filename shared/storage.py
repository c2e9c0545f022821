"""What a database's error means, told by its code: the class that says it in a sentence.

Codes: https://www.postgresql.org/docs/current/errcodes-appendix.html, https://sqlite.org/rescode.html
"""

from sqlalchemy.exc import (
    DataError,
    DBAPIError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    ProgrammingError,
)

from shared.errors import (
    StorageDeniedError,
    StorageError,
    StorageFullError,
    StorageReadOnlyError,
    StorageRefusedError,
    StorageSchemaError,
    StorageUnreachableError,
)

# Beginnings of codes, the narrowest first.
MEANINGS: tuple[tuple[str, type[StorageError]], ...] = (
    ("53100", StorageFullError),
    ("SQLITE_FULL", StorageFullError),
    ("25006", StorageReadOnlyError),
    ("SQLITE_READONLY", StorageReadOnlyError),
    ("42501", StorageDeniedError),
    ("3F000", StorageSchemaError),
    ("42P01", StorageSchemaError),
    ("42703", StorageSchemaError),
    ("08", StorageUnreachableError),
    ("53300", StorageUnreachableError),
    ("55P03", StorageUnreachableError),
    ("57P", StorageUnreachableError),
    ("SQLITE_BUSY", StorageUnreachableError),
    ("SQLITE_CANTOPEN", StorageUnreachableError),
    ("22", StorageRefusedError),
    ("23", StorageRefusedError),
    ("42", StorageRefusedError),
    ("SQLITE_CONSTRAINT", StorageRefusedError),
    ("SQLITE_ERROR", StorageRefusedError),
    ("SQLITE_MISMATCH", StorageRefusedError),
)


def meaning_of(exc: DBAPIError) -> type[StorageError]:
    """The class of an error that a driver raised."""
    code = getattr(exc.orig, "sqlstate", None) or getattr(exc.orig, "sqlite_errorname", None)
    if code is not None:
        return next((kind for start, kind in MEANINGS if code.startswith(start)), StorageError)
    # Without a code the driver itself complains: of what it was given, or that nobody is there.
    if isinstance(exc, DataError | IntegrityError | ProgrammingError):
        return StorageRefusedError
    if isinstance(exc, InterfaceError | OperationalError):
        return StorageUnreachableError
    return StorageError


def storage_error(exc: DBAPIError, where: str = "") -> StorageError:
    """Our error for a driver's: what it means, where, and the driver's own first line.

    That line holds neither the statement nor its parameters.
    """
    meaning = meaning_of(exc)
    driver_says = str(exc.orig).strip().split("\n", maxsplit=1)[0]
    return meaning(f"{meaning.sentence}{where}: {driver_says}")
