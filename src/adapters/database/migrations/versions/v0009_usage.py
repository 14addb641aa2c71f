"""The ledger of usage."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "usage_ledger",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("entry_id", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text()),
        sa.Column("agent_id", sa.Text()),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("llm_id", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("input_tokens", sa.Integer(), nullable=False),
        sa.Column("output_tokens", sa.Integer(), nullable=False),
        sa.Column("cached_tokens", sa.Integer(), nullable=False),
        sa.Column("estimated", sa.Boolean(), nullable=False),
        sa.Column("cost_nanos", sa.BigInteger()),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("first_token_ms", sa.Integer()),
        sa.Column("duration_ms", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.user_id"], name="usage_ledger_user", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("user_id", "at", "entry_id", name="usage_ledger_pk"),
        sqlite_with_rowid=False,
    )
    op.create_index("usage_ledger_by_time", "usage_ledger", ["at"])


def downgrade() -> None:
    op.drop_table("usage_ledger")
