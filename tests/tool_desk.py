"""Tools and MCP servers for tests: the use cases over a database, with servers that play a script."""

import itertools
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from adapters.database.transactions import DatabaseTransactions
from adapters.scripted import ScriptedApiDocuments, ScriptedMcpConnections
from adapters.security import FernetBox
from application.agents.agents import AgentLinks, ChangeAgent, CreateAgent
from application.models.models import ModelCatalogue
from application.ports.tools import StoredServer
from application.sealing import Seals
from application.tools.mcp_servers import AskForMcpTools, ChangeMcpServer, DeleteMcpServer, LoadMcpServers, StdioRule
from application.tools.tools import BuiltInTools, ChangeTool, CreateTool, DeleteTool, LoadTools
from domain.agents.agents import Agent
from domain.ids import McpServerId, ModelId, ToolId, UserId, new_id
from domain.models.models import ModelSpec, Provider
from domain.tools.mcp_servers import McpDraft, McpServer, McpTransport
from domain.tools.tools import ToolSpec
from domain.tools.user_tools import ToolDraft, UserTool
from stored import NOW, seconds

SECRETS = ("a-secret-of-the-tests-that-is-long-enough-0123456789",)
CATALOGUE = ModelCatalogue.of([ModelSpec(ModelId("offline"), Provider.OFFLINE, "offline")], ModelId("offline"))
CALCULATOR = ToolId("calculator")
BUILT_IN = BuiltInTools.of([ToolSpec(CALCULATOR, "calculator", "Calculator", "Counts.", {})])
URL = "https://mcp.example.org/mcp"


def user_tool(owner: UserId, name: str = "weather", **changes: Any) -> UserTool:
    return replace(UserTool.create(ToolId(new_id()), owner, ToolDraft(en_name=name), NOW), **changes)


def mcp_server(owner: UserId, **said: Any) -> McpServer:
    draft = McpDraft(**({"name": "files", "transport": McpTransport.STREAMABLE_HTTP, "url": URL} | said))
    return McpServer.create(McpServerId(new_id()), owner, draft, NOW)


def stored_server(owner: UserId, **changes: Any) -> StoredServer:
    """Not sealed: for tests of the database alone."""
    http = McpTransport.STREAMABLE_HTTP
    made = StoredServer(McpServerId(new_id()), owner, "files", http, "sealed", NOW, NOW, "", (), "unknown")
    return replace(made, **changes)


class Clock:
    """Later each time that it is looked at."""

    times = itertools.count(1)

    def now(self) -> datetime:
        return seconds(next(self.times))


@dataclass
class ToolDesk:
    transactions: DatabaseTransactions
    connections: ScriptedMcpConnections = field(default_factory=ScriptedMcpConnections)
    secrets: tuple[str, ...] = SECRETS
    allow_stdio: bool = False

    @property
    def seals(self) -> Seals:
        return Seals(FernetBox(self.secrets))

    @property
    def stdio(self) -> StdioRule:
        return StdioRule(self.allow_stdio)

    async def tool(self, owner: UserId, name: str = "weather", **changes: Any) -> UserTool:
        made = user_tool(owner, name, **changes)
        async with self.transactions.begin() as tx:
            await tx.tools.add(made)
        return made

    async def server(self, owner: UserId, **said: Any) -> McpServer:
        made = mcp_server(owner, **said)
        async with self.transactions.begin() as tx:
            await tx.mcp_servers.add(self.seals.server(made))
        return made

    def create_agent(self, database: Any = None) -> CreateAgent:
        return CreateAgent(database or self.transactions, Clock(), AgentLinks(CATALOGUE, BUILT_IN.tools.keys()))

    def change_agent(self, database: Any = None) -> ChangeAgent:
        return ChangeAgent(database or self.transactions, Clock(), AgentLinks(CATALOGUE, BUILT_IN.tools.keys()))

    async def agent(self, owner: UserId, agent: Agent) -> Agent:
        async with self.transactions.autocommit() as tx:
            return await tx.agents.get(agent.agent_id, owner=owner)

    async def create_tool(self, owner: UserId, database: Any = None, **said: Any) -> UserTool:
        create = CreateTool(database or self.transactions, ScriptedApiDocuments(), self.seals, Clock())
        return await create(owner, ToolDraft(**({"en_name": "weather"} | said)))

    async def change_tool(self, owner: UserId, tool_id: ToolId, **said: Any) -> UserTool:
        change = ChangeTool(self.transactions, ScriptedApiDocuments(), self.seals, Clock(), BUILT_IN)
        return await change(owner, tool_id, ToolDraft(**said))

    async def delete_tool(self, owner: UserId, tool_id: ToolId) -> None:
        await DeleteTool(self.transactions, Clock(), BUILT_IN)(owner, tool_id)

    async def delete_server(self, owner: UserId, server_id: McpServerId) -> None:
        await DeleteMcpServer(self.transactions, self.seals, self.connections, Clock())(owner, server_id)

    async def change_server(self, owner: UserId, server_id: McpServerId, **said: Any) -> McpServer:
        change = ChangeMcpServer(self.transactions, self.seals, self.stdio, self.connections, Clock())
        return await change(owner, server_id, McpDraft(**said))

    def ask(self) -> AskForMcpTools:
        return AskForMcpTools(self.transactions, self.seals, self.stdio, self.connections)

    def load_tools(self) -> LoadTools:
        return LoadTools(self.transactions, self.seals, BUILT_IN)

    def load_servers(self) -> LoadMcpServers:
        return LoadMcpServers(self.transactions, self.seals, self.stdio)
