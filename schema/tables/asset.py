"""The asset table."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Identity,
    Index,
    LargeBinary,
    SmallInteger,
    Text,
    text,
)
from sqlmodel import Field

from schema.tables.base import Table
from schema.types import RawAmount


class Asset(Table, table=True):
    """A coin, token or NFT of one chain; unique by chain, contract and token id, nulls equal."""

    __tablename__ = "asset"
    __table_args__ = (
        CheckConstraint("standard in ('native', 'erc20', 'erc721', 'erc1155')", name="standard"),
        # Postgres says it with NULLS NOT DISTINCT, SQLite with an index over expressions.
        Index(
            "uq_asset_identity",
            "chain_id",
            "contract",
            "token_id",
            unique=True,
            postgresql_nulls_not_distinct=True,
        ).ddl_if(dialect="postgresql"),
        Index(
            "uq_asset_identity_sqlite",
            "chain_id",
            text("coalesce(contract, x'')"),
            text("coalesce(token_id, '')"),
            unique=True,
        ).ddl_if(dialect="sqlite"),
    )

    id: int | None = Field(default=None, primary_key=True, sa_column_args=[Identity(always=True)])
    chain_id: int = Field(sa_type=BigInteger)
    standard: str = Field(sa_type=Text, description="An AssetStandard.")
    contract: bytes | None = Field(
        default=None, sa_type=LargeBinary, description="None for the native coin."
    )
    token_id: int | None = Field(default=None, sa_type=RawAmount, description="Set for NFTs only.")
    symbol: str | None = Field(default=None, sa_type=Text)
    name: str | None = Field(default=None, sa_type=Text)
    decimals: int | None = Field(default=None, sa_type=SmallInteger)
