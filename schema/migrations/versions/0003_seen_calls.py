"""Signed calls that were accepted once."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

SCHEMA = "tallybook"
MOMENT = sa.DateTime(timezone=True).with_variant(sa.BigInteger(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "seen_call",
        sa.Column("signature", sa.Text(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("signature", name="pk_seen_call"),
        schema=_schema(),
    )


def downgrade() -> None:
    op.drop_table("seen_call", schema=_schema())


def _schema() -> str | None:
    """Where the table goes."""
    return None if op.get_bind().dialect.name == "sqlite" else SCHEMA
