"""Which queue is the active one, and which process leads."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

SCHEMA = "tallybook"
MOMENT = sa.DateTime(timezone=True).with_variant(sa.BigInteger(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "switch",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("queue", sa.Text(), nullable=False),
        sa.Column("was", sa.Text(), nullable=True),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("paused", sa.Boolean(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=True),
        sa.Column("changed_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_switch"),
        sa.CheckConstraint("id = 1", name=op.f("ck_switch_one_row")),
        schema=_schema(),
    )
    op.create_table(
        "leader",
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("until", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("role", name="pk_leader"),
        schema=_schema(),
    )


def downgrade() -> None:
    op.drop_table("leader", schema=_schema())
    op.drop_table("switch", schema=_schema())


def _schema() -> str | None:
    """Where the tables go."""
    return None if op.get_bind().dialect.name == "sqlite" else SCHEMA
