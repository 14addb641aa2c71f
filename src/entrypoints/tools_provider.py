"""The part of the object graph that keeps tools and MCP servers, and reaches the servers of others for them."""

from collections.abc import Callable, Mapping, Sequence

from dishka import Provider, Scope, provide, provide_all

from adapters.security import FernetBox
from application import attachment_search, knowledge_search, mcp_servers, tools
from application.ports.api_documents import ApiDocuments
from application.ports.argument_check import ArgumentCheck
from application.ports.guarded_web import GuardedWeb
from application.ports.mcp_connections import McpConnections, McpTool, McpUnavailable
from application.ports.secret_box import SecretBox
from application.ports.tool_runner import ToolOutput
from application.sealing import Seals
from domain.ids import McpServerId
from domain.mcp_servers import McpServer
from domain.tools import JsonValue
from entrypoints.argument_checks import CheckWhenNeeded
from entrypoints.chat_provider import Tools
from entrypoints.settings import Settings


class NoMcpConnections:
    """Until there is an adapter."""

    async def tools(self, server: McpServer) -> Sequence[McpTool]:  # noqa: ARG002
        raise McpUnavailable("this version does not connect to MCP servers yet.")

    async def call(self, server: McpServer, tool: str, arguments: Mapping[str, JsonValue]) -> ToolOutput:  # noqa: ARG002
        raise McpUnavailable("this version does not connect to MCP servers yet.")

    async def forget(self, server_id: McpServerId) -> None:
        pass


class ToolsAndServers(Provider):
    """Needs database, clock, guarded web, built-in tools and secrets, which other providers have."""

    scope = Scope.APP
    use_cases = provide_all(
        Seals,
        tools.ChangeTool,
        tools.CreateTool,
        tools.DeleteTool,
        tools.ListOwnTools,
        tools.ListTools,
        tools.LoadTools,
        tools.ShowTool,
        mcp_servers.AskForMcpTools,
        mcp_servers.ChangeMcpServer,
        mcp_servers.CreateMcpServer,
        mcp_servers.DeleteMcpServer,
        mcp_servers.ListMcpServers,
        mcp_servers.LoadMcpServers,
        mcp_servers.ShowMcpServer,
    )

    def __init__(self, secrets: Callable[[Settings], tuple[str, ...]]) -> None:
        super().__init__()
        self._secrets = secrets

    @provide
    def box(self, settings: Settings) -> SecretBox:
        return FernetBox(self._secrets(settings))

    @provide
    def stdio(self, settings: Settings) -> mcp_servers.StdioRule:
        return mcp_servers.StdioRule(settings.mcp.allow_stdio)

    @provide
    def built_in(self, runners: Tools) -> tools.BuiltInTools:
        """The searches are bound when a chat has something to search; an agent that names them loses nothing."""
        searches = knowledge_search.search_spec(()), attachment_search.search_spec(("those of the dialog",))
        return tools.BuiltInTools.of([*(runner.spec for runner in runners.values()), *searches])

    @provide
    def api_documents(self, web: GuardedWeb) -> ApiDocuments:
        # Imported where somebody has such a tool: the readers of YAML and JSON Schema cost time and memory.
        from adapters.openapi.documents import OpenApiDocuments

        return OpenApiDocuments(web)

    @provide
    def check(self) -> ArgumentCheck:
        return CheckWhenNeeded()

    @provide
    def mcp_connections(self) -> McpConnections:
        return NoMcpConnections()
