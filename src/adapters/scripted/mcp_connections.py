"""MCP servers that answer from a table."""

from collections.abc import Mapping, Sequence

from application.ports.mcp_connections import McpTool, McpUnavailable
from application.ports.tool_runner import ToolFailed, ToolOutput
from domain.ids import McpServerId
from domain.tools.mcp_servers import McpServer
from domain.tools.tools import JsonValue


class ScriptedMcpConnections:
    """`offers` has the tools of each address (a url or a command), or why it is away. A call gives back what it got."""

    def __init__(self, offers: Mapping[str, Sequence[McpTool] | str] | None = None) -> None:
        self.offers = dict(offers or {})
        self.asked: list[McpServer] = []
        self.fresh: list[bool] = []
        self.forgotten: list[McpServerId] = []
        self.left: list[McpServer] = []

    async def tools(self, server: McpServer, *, fresh: bool = False) -> Sequence[McpTool]:
        self.asked.append(server)
        self.fresh.append(fresh)
        offer = self.offers.get(server.address.url or server.address.command, "there is no such server.")
        if isinstance(offer, str):
            raise McpUnavailable(offer)
        return offer

    async def call(self, server: McpServer, tool: str, arguments: Mapping[str, JsonValue]) -> ToolOutput:
        if tool not in {one.name for one in await self.tools(server)}:
            raise ToolFailed(f"{server.name} has no tool {tool!r}.")
        return ToolOutput(f"{tool}: {dict(arguments)}")

    async def forget(self, server_id: McpServerId, before: McpServer | None = None) -> None:
        self.forgotten.append(server_id)
        if before is not None:
            self.left.append(before)
