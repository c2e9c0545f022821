"""Column types and enumerations of the data layer."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import IntEnum, StrEnum
from typing import Any

from sqlalchemy import BigInteger, DateTime, Dialect, Numeric, Text
from sqlalchemy.types import TypeDecorator, TypeEngine

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


class StreamKind(StrEnum):
    """The feed that a stream follows."""

    NATIVE = "native"
    INTERNAL = "internal"
    ERC20 = "erc20"
    ERC721 = "erc721"
    ERC1155 = "erc1155"
    WITHDRAWAL = "withdrawal"


class StreamState(StrEnum):
    """Where a stream stands. ``syncing`` is never stored: it is derived from a live lease."""

    PENDING = "pending"
    SYNCING = "syncing"
    UP_TO_DATE = "up_to_date"
    SNOOZED = "snoozed"
    STOPPED = "stopped"
    DEAD = "dead"


class MovementKind(IntEnum):
    """Why an amount changed."""

    TRANSFER = 1
    FEE = 2
    INTERNAL = 3
    ERC20 = 4
    ERC721 = 5
    ERC1155 = 6
    WITHDRAWAL = 7
    GENESIS = 8


class AssetStandard(StrEnum):
    """What kind of asset a contract keeps."""

    NATIVE = "native"
    ERC20 = "erc20"
    ERC721 = "erc721"
    ERC1155 = "erc1155"


class PriceState(StrEnum):
    """What is known of an asset's price; ``new`` is asked for but not yet answered."""

    NEW = "new"
    PRICED = "priced"
    UNKNOWN = "unknown"
    SPAM = "spam"


class RawAmount(TypeDecorator[int]):
    """An exact integer in the smallest unit: NUMERIC on Postgres, text on SQLite.

    ``digits`` bounds one movement (78 hold a signed 2^256-1); None is for sums, which junk tokens
    push beyond it.
    """

    impl = Numeric
    cache_ok = True

    def __init__(self, digits: int | None = 78) -> None:
        super().__init__()
        self.digits = digits

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """NUMERIC where the database has exact numbers, text where it has not."""
        if dialect.name == "sqlite":
            return dialect.type_descriptor(Text())
        if self.digits is None:
            return dialect.type_descriptor(Numeric())
        return dialect.type_descriptor(Numeric(self.digits, 0))

    def process_bind_param(self, value: int | None, dialect: Dialect) -> str | Decimal | None:
        """Refuse anything but whole numbers: a float has already lost the money."""
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            message = f"an amount must be an int, not {type(value).__name__}"
            raise ValueError(message)  # noqa: TRY004 - schema raises ValueError only
        if self.digits is not None and abs(value) >= 10**self.digits:
            message = f"an amount of {len(str(abs(value)))} digits does not fit into {self.digits}"
            raise ValueError(message)
        # Decimal(int) is exact whatever the context's precision; only arithmetic rounds.
        return str(value) if dialect.name == "sqlite" else Decimal(value)

    def process_result_value(self, value: str | Decimal | None, dialect: Dialect) -> int | None:  # noqa: ARG002
        """Back to a Python int."""
        return None if value is None else int(value)


class ExactDecimal(TypeDecorator[Decimal]):
    """An exact decimal fraction: NUMERIC on Postgres, text on SQLite."""

    impl = Numeric
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """NUMERIC where the database has exact numbers, text where it has not."""
        return dialect.type_descriptor(Text() if dialect.name == "sqlite" else Numeric())

    def process_bind_param(self, value: Any, dialect: Dialect) -> Decimal | str | None:
        """Refuse what is no exact number: a float has lost its digits already."""
        if value is None:
            return None
        if not isinstance(value, Decimal) or not value.is_finite():
            message = f"an exact decimal must be a finite Decimal: {value!r}"
            raise ValueError(message)
        return str(value) if dialect.name == "sqlite" else value

    def process_result_value(self, value: str | Decimal | None, dialect: Dialect) -> Decimal | None:  # noqa: ARG002
        """Back to a Decimal with the digits that were stored."""
        return None if value is None else Decimal(value)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware moment in UTC: timestamptz on Postgres, whole microseconds since 1970 on SQLite."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Timestamptz, or an integer that sorts and compares exactly."""
        if dialect.name == "sqlite":
            return dialect.type_descriptor(BigInteger())
        return dialect.type_descriptor(DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | int | None:
        """Refuse naive times: under a session in another zone they move by hours."""
        if value is None:
            return None
        if value.tzinfo is None:
            message = f"a time must carry its zone: {value.isoformat()}"
            raise ValueError(message)
        return micros_of(value) if dialect.name == "sqlite" else value.astimezone(UTC)

    def process_result_value(
        self,
        value: datetime | int | None,
        dialect: Dialect,  # noqa: ARG002 - SQLAlchemy's
    ) -> datetime | None:
        """Always aware, always UTC."""
        if value is None:
            return None
        return moment_of(value) if isinstance(value, int) else value.astimezone(UTC)


def micros_of(moment: datetime) -> int:
    """Whole microseconds since 1970 of an aware moment."""
    return (moment - EPOCH) // MICROSECOND


def moment_of(micros: int) -> datetime:
    """The aware UTC moment of whole microseconds since 1970."""
    return EPOCH + timedelta(microseconds=micros)
