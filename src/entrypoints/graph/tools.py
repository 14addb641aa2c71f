"""The part of the object graph that keeps tools and MCP servers, and reaches the servers of others for them."""

from collections.abc import AsyncIterator, Callable
from typing import Final

from dishka import Provider, Scope, provide, provide_all

from adapters.mcp.connections import SdkMcpConnections
from adapters.mcp.limits import McpLimits
from adapters.security import FernetBox
from adapters.web.guarded import GuardedHttp
from application.chat import attachment_search, knowledge_search
from application.ports.api_documents import ApiDocuments
from application.ports.argument_check import ArgumentCheck
from application.ports.guarded_web import GuardedWeb
from application.ports.mcp_connections import McpConnections
from application.ports.secret_box import SecretBox
from application.sealing import Seals
from application.tools import mcp_servers, tools
from entrypoints.graph.argument_checks import CheckWhenNeeded
from entrypoints.graph.chat import Tools
from entrypoints.settings.loading import Settings

ENDLESS: Final = 1 << 40
"""Bytes of one answer: that of a stream which lasts for days. What is in it has limits of its own."""


def mcp_limits(tool_timeout: float) -> McpLimits:
    """Who waits for a call gives up after `tool_timeout`: the connection must know before that its server hangs."""
    return McpLimits(call_seconds=tool_timeout * 0.9)


class ToolsAndServers(Provider):
    """Needs database, clock, GuardedHttp, guarded web, built-in tools and secrets, which other providers have."""

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
    async def mcp_connections(self, settings: Settings, guarded: GuardedHttp) -> AsyncIterator[McpConnections]:
        # The SDK takes most of a second and 33 MB: it is imported by whoever first uses a server.
        limits = mcp_limits(settings.tool_timeout_seconds)
        connections = SdkMcpConnections(lambda: guarded.client(max_bytes=ENDLESS), limits)
        yield connections
        await connections.aclose()
