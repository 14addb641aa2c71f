"""Files, what was read in them, and the questions that they came with."""

import sqlalchemy as sa
from alembic import op

from adapters.database.columns import Moment

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("messages", sa.Column("attachments", sa.Text()))
    _create_files()
    op.create_table(
        "readings",
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("parser", sa.Text(), nullable=False),
        sa.Column("outcome", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("sha256", "parser", name="readings_pk"),
    )


def downgrade() -> None:
    op.drop_table("readings")
    op.drop_table("files")
    op.drop_column("messages", "attachments")


def _create_partial_index(name: str, columns: list[str], where: str) -> None:
    op.create_index(name, "files", columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))


def _create_files() -> None:
    op.create_table(
        "files",
        sa.Column("file_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text()),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("removed_at", Moment()),
        sa.Column("has_content", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.user_id"], name="files_user", ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("file_id", name="files_pk"),
    )
    op.create_index("files_by_user", "files", ["user_id", "created_at", "file_id"])
    _create_partial_index("files_by_content", ["sha256"], "user_id IS NOT NULL AND removed_at IS NULL")
    _create_partial_index("files_emptied", ["created_at"], "NOT has_content")
    _create_partial_index("files_gone", ["file_id"], "has_content AND (user_id IS NULL OR removed_at IS NOT NULL)")
    _create_partial_index("files_sizes", ["user_id", "size"], "removed_at IS NULL")
