"""What agents were at each of their versions."""

from sqlalchemy import Boolean, Column, ForeignKey, Integer, PrimaryKeyConstraint, Table, Text

from adapters.database.columns import Moment
from adapters.database.tables import metadata

# They go with their agent, and so with the account.
agent_versions = Table(
    "agent_versions",
    metadata,
    Column(
        "agent_id",
        Text,
        ForeignKey("agents.agent_id", name="agent_versions_agent", ondelete="CASCADE"),
        nullable=False,
    ),
    Column("version", Integer, nullable=False),
    Column("saved_at", Moment, nullable=False),
    Column("name", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("logo_url", Text, nullable=False),
    Column("system_prompt", Text, nullable=False),
    Column("llm_id", Text),
    Column("tool_ids", Text, nullable=False),
    Column("mcp_ids", Text, nullable=False),
    Column("knowledge_ids", Text, nullable=False),
    Column("enable_memory", Boolean, nullable=False),
    Column("require_approval", Text, nullable=False),
    PrimaryKeyConstraint("agent_id", "version", name="agent_versions_pk"),
)
