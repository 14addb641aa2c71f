"""Versions of agents, and which one answered."""

import sqlalchemy as sa
from alembic import op

from adapters.database.columns import Moment

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_AS_IT_IS = (
    "INSERT INTO agent_versions (agent_id, version, saved_at, name, description, logo_url, system_prompt, llm_id, "
    "tool_ids, mcp_ids, knowledge_ids, enable_memory, require_approval) "
    "SELECT agent_id, version, updated_at, name, description, logo_url, system_prompt, llm_id, "
    "tool_ids, mcp_ids, knowledge_ids, enable_memory, require_approval FROM agents"
)


def upgrade() -> None:
    op.create_table(
        "agent_versions",
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("saved_at", Moment(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("logo_url", sa.Text(), nullable=False),
        sa.Column("system_prompt", sa.Text(), nullable=False),
        sa.Column("llm_id", sa.Text()),
        sa.Column("tool_ids", sa.Text(), nullable=False),
        sa.Column("mcp_ids", sa.Text(), nullable=False),
        sa.Column("knowledge_ids", sa.Text(), nullable=False),
        sa.Column("enable_memory", sa.Boolean(), nullable=False),
        sa.Column("require_approval", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.agent_id"], name="agent_versions_agent", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("agent_id", "version", name="agent_versions_pk"),
    )
    # The built-in agents, and whatever was made before versions were kept.
    op.execute(_AS_IT_IS)
    op.add_column("messages", sa.Column("agent_id", sa.Text()))
    op.add_column("messages", sa.Column("agent_version", sa.Integer()))


def downgrade() -> None:
    op.drop_column("messages", "agent_version")
    op.drop_column("messages", "agent_id")
    op.drop_table("agent_versions")
