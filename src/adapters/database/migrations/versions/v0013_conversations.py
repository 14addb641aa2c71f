"""Conversations that programs keep themselves, so that each goes on in its dialog."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "told_conversations",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("dialog_id", sa.Text(), nullable=False),
        sa.Column("conversation", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "dialog_id", name="told_conversations_pk"),
        sa.ForeignKeyConstraint(
            ["user_id", "dialog_id"],
            ["dialogs.user_id", "dialogs.dialog_id"],
            name="told_conversations_dialog",
            ondelete="CASCADE",
        ),
    )
    columns = ["user_id", "conversation", "dialog_id"]
    op.create_index("told_conversations_by_digest", "told_conversations", columns)


def downgrade() -> None:
    op.drop_table("told_conversations")
