"""Keeping each version of an agent, in the transaction that makes it."""

from typing import Final

from sqlalchemy import Connection, Integer, Text, bindparam, delete, insert, literal_column, select

from adapters.database.agents.agent_tables import agent_versions
from adapters.database.tables import agents
from domain.agents.agents import KEPT_VERSIONS

CONTENT: Final = (
    "name",
    "description",
    "logo_url",
    "system_prompt",
    "llm_id",
    "tool_ids",
    "mcp_ids",
    "knowledge_ids",
    "enable_memory",
    "require_approval",
)
"""What a person says of an agent."""

_THIS: Final = agents.c.agent_id == bindparam("id", type_=Text)
# From the agent's own row: so the two can't differ, whoever wrote it.
_KEEP: Final = insert(agent_versions).from_select(
    ["agent_id", "version", "saved_at", *CONTENT],
    select(agents.c.agent_id, agents.c.version, agents.c.updated_at, *(agents.c[name] for name in CONTENT)).where(
        _THIS
    ),
)
_OLDEST: Final = select(agents.c.version - literal_column(str(KEPT_VERSIONS), Integer)).where(_THIS).scalar_subquery()
_FORGET: Final = delete(agent_versions).where(
    agent_versions.c.agent_id == bindparam("id", type_=Text), agent_versions.c.version <= _OLDEST
)


def keep_version(connection: Connection, agent_id: str) -> None:
    """Call it after each write of an agent."""
    connection.execute(_KEEP, {"id": agent_id})
    connection.execute(_FORGET, {"id": agent_id})
