"""Tools and MCP servers that people bring; which of an agent's tools wait for a person."""

import sqlalchemy as sa
from alembic import op

from adapters.database.columns import Moment

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "tools",
        sa.Column("tool_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("zh_name", sa.Text(), nullable=False),
        sa.Column("en_name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("logo_url", sa.Text(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("updated_at", Moment(), nullable=False),
        sa.Column("document", sa.Text()),
        sa.Column("is_object", sa.Boolean(), nullable=False),
        sa.Column("auth_type", sa.Text()),
        sa.Column("sealed", sa.Text()),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.user_id"], name="tools_user", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("tool_id", name="tools_pk"),
    )
    op.create_index("tools_by_user", "tools", ["user_id", "created_at", "tool_id"])
    op.create_table(
        "mcp_servers",
        sa.Column("server_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("transport", sa.Text(), nullable=False),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("updated_at", Moment(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("tools", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.user_id"], name="mcp_servers_user", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("server_id", name="mcp_servers_pk"),
    )
    op.create_index("mcp_servers_by_user", "mcp_servers", ["user_id", "created_at", "server_id"])
    op.add_column("agents", sa.Column("require_approval", sa.Text(), nullable=False, server_default=sa.text("'[]'")))


def downgrade() -> None:
    op.drop_column("agents", "require_approval")
    op.drop_table("mcp_servers")
    op.drop_table("tools")
