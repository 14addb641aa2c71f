"""The tools of agents for tests: real ones, over servers that play a script."""

from collections.abc import Mapping

from adapters.database.transactions import DatabaseTransactions
from adapters.openapi.documents import OpenApiDocuments
from adapters.scripted import ScriptedMcpConnections, ScriptedWeb, answered
from adapters.security import FernetBox
from application.chat.toolbox import Toolbox
from application.ports.api_documents import ApiDocuments
from application.ports.guarded_web import GuardedWeb
from application.ports.mcp_connections import McpConnections
from application.ports.tool_runner import ToolRunner
from application.sealing import Seals
from application.tools.mcp_servers import LoadMcpServers, StdioRule
from application.tools.own_tools import OpenOwnTools
from application.tools.tools import BuiltInTools, LoadTools
from domain.ids import ToolId
from domain.tools.tools import ToolSpec
from tool_desk import SECRETS

WEB_FETCH = ToolSpec(ToolId("web_fetch"), "web_fetch", "Web page", "Reads a page.", {})


def toolbox(
    transactions: DatabaseTransactions,
    builtin: Mapping[ToolId, ToolRunner],
    connections: McpConnections | None = None,
    web: GuardedWeb | None = None,
    documents: ApiDocuments | None = None,
) -> Toolbox:
    seals = Seals(FernetBox(SECRETS))
    # The default agent carries web_fetch, which a test seldom has: it is nobody's own all the same.
    specs = BuiltInTools.of([*(tool.spec for tool in builtin.values()), WEB_FETCH])
    return Toolbox(
        builtin,
        OpenOwnTools(
            LoadTools(transactions, seals, specs), documents or OpenApiDocuments(web or ScriptedWeb(answered()))
        ),
        LoadMcpServers(transactions, seals, StdioRule(allowed=True)),
        connections or ScriptedMcpConnections(),
        _unforeseen,
    )


def _unforeseen(defect: Exception) -> None:
    raise defect
