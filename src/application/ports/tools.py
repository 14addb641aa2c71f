"""Tools and MCP servers that people brought, as the database knows them. Each call is atomic alone."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol

from application.paging import Window
from domain.ids import McpServerId, ToolId, UserId
from domain.tools.mcp_servers import McpTransport
from domain.tools.user_tools import UserTool


@dataclass(frozen=True, slots=True)
class Stock:
    """How many tools a person has, and how many characters their documents."""

    tools: int
    characters: int


@dataclass(frozen=True, slots=True)
class Portion:
    """`beyond` are the names of those whose documents were not loaded."""

    tools: Sequence[UserTool]
    beyond: Sequence[str] = ()


class Tools(Protocol):
    async def add(self, tool: UserTool) -> None: ...

    async def get(self, tool_id: ToolId, *, owner: UserId) -> UserTool:
        """In a transaction nobody else changes or removes it until its end. Raises NotFound `tool_not_found`."""
        ...

    async def list(self, window: Window, *, owner: UserId) -> Sequence[UserTool]:
        """Newest first. Where the documents have more than SHOWN_MAX characters together, the first of them alone, and
        one more than have room.
        """
        ...

    async def these(self, tool_ids: Sequence[ToolId], *, owner: UserId) -> Sequence[UserTool]:
        """Those that are there and the owner's, each once, in any order, in one statement."""
        ...

    async def portion(self, tool_ids: Sequence[ToolId], characters: int, *, owner: UserId) -> Portion:
        """As `these`, but with so many characters of documents at most: those of the first, in the order of the ids.

        In one statement where all have room.
        """
        ...

    async def named(self, names: Sequence[str], *, owner: UserId) -> Sequence[UserTool]:
        """Those of the owner's with one of these `en_name`, oldest first, in one statement."""
        ...

    async def held(self, tool_ids: Sequence[ToolId], *, owner: UserId) -> frozenset[ToolId]:
        """Those that are there and the owner's; nobody removes them until the end of the transaction."""
        ...

    async def stock(self, *, owner: UserId) -> Stock: ...

    async def save(self, tool: UserTool) -> None:
        """Raises NotFound."""
        ...

    async def remove(self, tool_id: ToolId, now: datetime, *, owner: UserId) -> None:
        """With the references of agents to it. Raises NotFound."""
        ...


@dataclass(frozen=True, slots=True)
class StoredServer:
    """An MCP server as it lies in the database: what it is reached by, and with, is in `sealed`."""

    server_id: McpServerId
    user_id: UserId
    name: str
    transport: McpTransport
    sealed: str = field(repr=False)
    created_at: datetime
    updated_at: datetime
    description: str
    tools: tuple[str, ...]
    status: str

    def now_seen(self, tools: tuple[str, ...], status: str) -> "StoredServer":
        return replace(self, tools=tools, status=status)


class McpServers(Protocol):
    async def add(self, server: StoredServer) -> None: ...

    async def get(self, server_id: McpServerId, *, owner: UserId) -> StoredServer:
        """In a transaction nobody else changes or removes it until its end. Raises NotFound `mcp_server_not_found`."""
        ...

    async def list(self, window: Window, *, owner: UserId) -> Sequence[StoredServer]:
        """Newest first."""
        ...

    async def these(self, server_ids: Sequence[McpServerId], *, owner: UserId) -> Sequence[StoredServer]:
        """Those that are there and the owner's, each once, in any order, in one statement."""
        ...

    async def held(self, server_ids: Sequence[McpServerId], *, owner: UserId) -> frozenset[McpServerId]:
        """Those that are there and the owner's; nobody removes them until the end of the transaction."""
        ...

    async def count(self, *, owner: UserId) -> int: ...

    async def save(self, server: StoredServer) -> None:
        """Raises NotFound."""
        ...

    async def note(self, server: StoredServer) -> None:
        """Keep `tools` and `status`, unless the server was changed or removed since it was read."""
        ...

    async def remove(self, server_id: McpServerId, now: datetime, *, owner: UserId) -> None:
        """With the references of agents to it. Raises NotFound."""
        ...
