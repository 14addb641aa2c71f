"""Models of one's own."""

import sqlalchemy as sa
from alembic import op

from adapters.database.columns import Moment

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "models",
        sa.Column("llm_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("updated_at", Moment(), nullable=False),
        sa.Column("base_url", sa.Text()),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("context_window", sa.Integer(), nullable=False),
        sa.Column("max_output_tokens", sa.Integer()),
        sa.Column("vision", sa.Boolean(), nullable=False),
        sa.Column("tools", sa.Boolean(), nullable=False),
        sa.Column("prices", sa.Text()),
        sa.Column("fallbacks", sa.Text(), nullable=False),
        sa.Column("max_concurrent", sa.Integer()),
        sa.Column("requests_a_minute", sa.Integer()),
        sa.Column("sealed_key", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.user_id"], name="models_user", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("llm_id", name="models_pk"),
    )
    op.create_index("models_by_user", "models", ["user_id", "created_at", "llm_id"])


def downgrade() -> None:
    op.drop_table("models")
