"""The ledger and the table queue."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SCHEMA = "tallybook"
# SQLite has neither exact numbers nor times: text, and microseconds since 1970.
MOMENT = sa.DateTime(timezone=True).with_variant(sa.BigInteger(), "sqlite")
AMOUNT = sa.Numeric(78, 0).with_variant(sa.Text(), "sqlite")
SUM = sa.Numeric().with_variant(sa.Text(), "sqlite")
BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _schema()
    _wallets()
    _streams()
    _ledger()
    _work()


def downgrade() -> None:
    for table in ("sync_job", "run", "balance", "movement", "asset"):
        op.drop_table(table, schema=_schema())
    for table in ("stream", "wallet", "address"):
        op.drop_table(table, schema=_schema())


def _schema() -> str | None:
    """Where the tables go."""
    return None if op.get_bind().dialect.name == "sqlite" else SCHEMA


def _target(column: str) -> str:
    """A foreign key's target."""
    schema = _schema()
    return f"{schema}.{column}" if schema else column


def _id(column_type: Any = None) -> sa.Column[Any]:
    return sa.Column("id", column_type or sa.Integer(), sa.Identity(always=True), nullable=False)


def _required(name: str, column_type: Any) -> sa.Column[Any]:
    return sa.Column(name, column_type, nullable=False)


def _wallets() -> None:
    op.create_table(
        "address",
        _id(),
        _required("family", sa.Text()),
        _required("account", sa.Text()),
        _required("created_at", MOMENT),
        sa.PrimaryKeyConstraint("id", name="pk_address"),
        sa.UniqueConstraint("family", "account", name="uq_address_family_account"),
        sa.CheckConstraint("family in ('evm')", name=op.f("ck_address_family")),
        schema=_schema(),
    )
    op.create_table(
        "wallet",
        _id(),
        _required("owner", sa.Text()),
        _required("address_id", sa.Integer()),
        sa.Column("label", sa.Text()),
        _required("chain_ids", sa.JSON()),
        _required("created_at", MOMENT),
        sa.PrimaryKeyConstraint("id", name="pk_wallet"),
        sa.UniqueConstraint("owner", "address_id", name="uq_wallet_owner_address_id"),
        sa.ForeignKeyConstraint(
            ["address_id"], [_target("address.id")], name="fk_wallet_address_id"
        ),
        schema=_schema(),
    )
    op.create_index("ix_wallet_address_id", "wallet", ["address_id"], schema=_schema())


def _streams() -> None:
    op.create_table(
        "stream",
        _id(),
        _required("address_id", sa.Integer()),
        _required("chain_id", sa.BigInteger()),
        _required("kind", sa.Text()),
        _required("provider", sa.Text()),
        _required("generation", sa.Integer()),
        _required("live", sa.Boolean()),
        _required("state", sa.Text()),
        _required("lease_token", sa.BigInteger()),
        _required("lease_until", MOMENT),
        sa.Column("lease_holder", sa.Text()),
        _required("settled_block", sa.BigInteger()),
        _required("next_block", sa.BigInteger()),
        sa.Column("pass_head", sa.BigInteger()),
        sa.Column("synced_block", sa.BigInteger()),
        sa.Column("synced_at", MOMENT),
        _required("anchors", sa.Text()),
        sa.Column("page_rows", sa.Integer()),
        _required("due_at", MOMENT),
        _required("attempts", sa.Integer()),
        sa.Column("error_code", sa.Text()),
        sa.Column("error_detail", sa.Text()),
        sa.Column("error_fix", sa.Text()),
        sa.Column("resting_since", MOMENT),
        _required("created_at", MOMENT),
        sa.PrimaryKeyConstraint("id", name="pk_stream"),
        sa.UniqueConstraint(
            "address_id",
            "chain_id",
            "kind",
            "generation",
            name="uq_stream_address_id_chain_id_kind_generation",
        ),
        sa.CheckConstraint(
            "kind in ('native', 'internal', 'erc20', 'erc721', 'erc1155', 'withdrawal')",
            name=op.f("ck_stream_kind"),
        ),
        sa.CheckConstraint(
            "state in ('pending', 'up_to_date', 'snoozed', 'stopped', 'dead')",
            name=op.f("ck_stream_state"),
        ),
        sa.ForeignKeyConstraint(
            ["address_id"], [_target("address.id")], name="fk_stream_address_id"
        ),
        schema=_schema(),
    )
    op.create_index(
        "ix_stream_due_at",
        "stream",
        ["due_at"],
        schema=_schema(),
        postgresql_where=sa.text("state in ('pending', 'up_to_date', 'snoozed')"),
    )


def _ledger() -> None:
    op.create_table(
        "asset",
        _id(),
        _required("chain_id", sa.BigInteger()),
        _required("standard", sa.Text()),
        sa.Column("contract", sa.LargeBinary()),
        sa.Column("token_id", AMOUNT),
        sa.Column("symbol", sa.Text()),
        sa.Column("name", sa.Text()),
        sa.Column("decimals", sa.SmallInteger()),
        sa.PrimaryKeyConstraint("id", name="pk_asset"),
        sa.CheckConstraint(
            "standard in ('native', 'erc20', 'erc721', 'erc1155')", name=op.f("ck_asset_standard")
        ),
        schema=_schema(),
    )
    _asset_identity()
    op.create_table(
        "movement",
        _required("block", sa.BigInteger()),
        _required("pos", sa.BigInteger()),
        _required("at", MOMENT),
        _required("stream_id", sa.Integer()),
        _required("asset_id", sa.Integer()),
        _required("kind", sa.SmallInteger()),
        _required("tx_hash", sa.LargeBinary()),
        sa.Column("counterparty", sa.LargeBinary()),
        _required("amount", AMOUNT),
        sa.PrimaryKeyConstraint("stream_id", "block", "pos", name="pk_movement"),
        schema=_schema(),
        sqlite_with_rowid=False,
        postgresql_with={"autovacuum_vacuum_insert_scale_factor": 0.02},
    )
    op.create_table(
        "balance",
        _required("stream_id", sa.Integer()),
        _required("asset_id", sa.Integer()),
        _required("amount", SUM),
        _required("movements", sa.BigInteger()),
        sa.PrimaryKeyConstraint("stream_id", "asset_id", name="pk_balance"),
        sa.ForeignKeyConstraint(["stream_id"], [_target("stream.id")], name="fk_balance_stream_id"),
        schema=_schema(),
        sqlite_with_rowid=False,
        postgresql_with={"fillfactor": 70},
    )


def _asset_identity() -> None:
    """Unique with nulls counted as equal, which each database says in its own way."""
    if _schema() is None:
        columns: list[Any] = [
            "chain_id",
            sa.text("coalesce(contract, x'')"),
            sa.text("coalesce(token_id, '')"),
        ]
        op.create_index("uq_asset_identity_sqlite", "asset", columns, unique=True)
        return
    op.create_index(
        "uq_asset_identity",
        "asset",
        ["chain_id", "contract", "token_id"],
        unique=True,
        schema=_schema(),
        postgresql_nulls_not_distinct=True,
    )


def _work() -> None:
    op.create_table(
        "run",
        _id(BIG_ID),
        _required("stream_id", sa.Integer()),
        _required("lease_token", sa.BigInteger()),
        _required("started_at", MOMENT),
        _required("ended_at", MOMENT),
        _required("from_block", sa.BigInteger()),
        _required("to_block", sa.BigInteger()),
        _required("pages", sa.Integer()),
        _required("inserted", sa.Integer()),
        _required("deleted", sa.Integer()),
        _required("outcome", sa.Text()),
        sa.Column("error_code", sa.Text()),
        sa.Column("detail", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_run"),
        schema=_schema(),
    )
    op.create_index("ix_run_ended_at", "run", ["ended_at"], schema=_schema())
    op.create_index("ix_run_stream_id", "run", ["stream_id"], schema=_schema())
    op.create_table(
        "sync_job",
        _required("stream_id", sa.Integer()),
        _required("urgent", sa.Boolean()),
        _required("ready_at", MOMENT),
        _required("claimed", sa.Boolean()),
        _required("claim_token", sa.BigInteger()),
        _required("claims", sa.Integer()),
        sa.Column("again_at", MOMENT),
        _required("again_urgent", sa.Boolean()),
        sa.Column("buried_why", sa.Text()),
        sa.PrimaryKeyConstraint("stream_id", name="pk_sync_job"),
        schema=_schema(),
    )
    op.create_index("ix_sync_job_ready_at", "sync_job", ["ready_at"], schema=_schema())
