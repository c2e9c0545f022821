"""Prices of the assets that somebody holds."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

SCHEMA = "tallybook"
# SQLite has neither exact numbers nor times: text, and microseconds since 1970.
MOMENT = sa.DateTime(timezone=True).with_variant(sa.BigInteger(), "sqlite")
EXACT = sa.Numeric().with_variant(sa.Text(), "sqlite")
WHOLE = (
    "(state = 'priced') = (price_usd is not null) and (state = 'priced') = (priced_at is not null)"
    " and (state = 'priced') = (source is not null)"
    " and (state = 'priced') = (confidence is not null)"
)


def upgrade() -> None:
    schema = _schema()
    asset = f"{schema}.asset.id" if schema else "asset.id"
    op.create_table(
        "price",
        sa.Column("asset_id", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("price_usd", EXACT),
        sa.Column("source", sa.Text()),
        sa.Column("priced_at", MOMENT),
        sa.Column("confidence", EXACT),
        sa.Column("flag", sa.Text()),
        sa.Column("asked_at", MOMENT),
        sa.Column("next_ask_at", MOMENT, nullable=False),
        sa.Column("misses", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("asset_id", name="pk_price"),
        sa.ForeignKeyConstraint(["asset_id"], [asset], name="fk_price_asset_id"),
        sa.CheckConstraint(
            "state in ('new', 'priced', 'unknown', 'spam')", name=op.f("ck_price_state")
        ),
        sa.CheckConstraint(WHOLE, name=op.f("ck_price_whole")),
        schema=schema,
    )
    op.create_index(
        "ix_price_next_ask_at",
        "price",
        ["next_ask_at"],
        schema=schema,
        postgresql_where=sa.text("state <> 'spam'"),
    )


def downgrade() -> None:
    op.drop_table("price", schema=_schema())


def _schema() -> str | None:
    """Where the table goes."""
    return None if op.get_bind().dialect.name == "sqlite" else SCHEMA
