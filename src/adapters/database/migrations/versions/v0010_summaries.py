"""Summaries of what fell out of a dialog's window."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "dialog_summaries",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("dialog_id", sa.Text(), nullable=False),
        sa.Column("covers", sa.Integer(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("wanted", sa.Integer(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id", "dialog_id"],
            ["dialogs.user_id", "dialogs.dialog_id"],
            name="dialog_summaries_dialog",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("user_id", "dialog_id", name="dialog_summaries_pk"),
    )


def downgrade() -> None:
    op.drop_table("dialog_summaries")
