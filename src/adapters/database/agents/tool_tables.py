"""Tools and MCP servers that people brought. What proves them to others lies sealed."""

from sqlalchemy import Boolean, Column, Index, Integer, PrimaryKeyConstraint, Table, Text

from adapters.database.columns import Moment
from adapters.database.tables import metadata, owner_column

# `size` is the characters of the document: so nobody reads the documents to count them.
tools = Table(
    "tools",
    metadata,
    Column("tool_id", Text, nullable=False),
    owner_column("tools"),
    Column("zh_name", Text, nullable=False),
    Column("en_name", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("logo_url", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    Column("document", Text),
    Column("is_object", Boolean, nullable=False),
    Column("auth_type", Text),
    Column("sealed", Text),
    Column("size", Integer, nullable=False),
    PrimaryKeyConstraint("tool_id", name="tools_pk"),
    Index("tools_by_user", "user_id", "created_at", "tool_id"),
)

mcp_servers = Table(
    "mcp_servers",
    metadata,
    Column("server_id", Text, nullable=False),
    owner_column("mcp_servers"),
    Column("name", Text, nullable=False),
    Column("transport", Text, nullable=False),
    Column("sealed", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    Column("description", Text, nullable=False),
    Column("tools", Text, nullable=False),
    Column("status", Text, nullable=False),
    PrimaryKeyConstraint("server_id", name="mcp_servers_pk"),
    Index("mcp_servers_by_user", "user_id", "created_at", "server_id"),
)
