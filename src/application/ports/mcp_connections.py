"""The conversation with MCP servers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from application.ports.tool_runner import ToolOutput
from domain.ids import McpServerId
from domain.tools.mcp_servers import McpServer
from domain.tools.tools import JsonValue


class McpUnavailable(Exception):
    """The server can't be used now: one sentence that says why, without its secrets."""


@dataclass(frozen=True, slots=True)
class McpTool:
    """`parameters` is a JSON Schema of type object: the server's, mended where vendors would not take it."""

    name: str
    title: str
    description: str
    parameters: Mapping[str, JsonValue]
    unusable: str = ""
    """Why no model can be offered it."""


class McpConnections(Protocol):
    """One connection for a server and its owner, made when first needed, closed when idle, tried again after a pause.

    After several failures the server is left alone for a while (McpUnavailable at once), longer each time.
    """

    async def tools(self, server: McpServer, *, fresh: bool = False) -> Sequence[McpTool]:
        """Remembered until the server says that its list changed, or for some minutes. Raises McpUnavailable.

        `fresh` asks the server whatever is remembered.
        """
        ...

    async def call(self, server: McpServer, tool: str, arguments: Mapping[str, JsonValue]) -> ToolOutput:
        """Raises ToolFailed with what the server said, and McpUnavailable. Cancelling it tells the server."""
        ...

    async def forget(self, server_id: McpServerId, before: McpServer | None = None) -> None:
        """Close what is open to a server that was changed or removed.

        As it was `before` it is reached no more at this process, by whatever answer still has it so.
        """
        ...
