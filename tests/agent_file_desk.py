"""Agents as documents for tests: the use cases over a database, and agents of every kind."""

import unicodedata
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st

from adapters.scripted import ScriptedApiDocuments
from application.agents.agent_export import ExportAgent
from application.agents.agent_import import ImportAgent, ImportedAgent
from application.agents.agent_versions import RollBackAgent, RolledBack
from application.agents.agents import AgentLinks
from application.agents.imported_parts import ImportServers, ImportTools
from domain.agents.agent_files import AgentFile, KnowledgeEntry, Missing, ServerEntry, ToolEntry
from domain.agents.agents import Agent
from domain.ids import AgentId, UserId
from domain.tools.mcp_servers import McpTransport
from domain.tools.user_tools import ApiDocument, AuthType
from tool_desk import BUILT_IN, CATALOGUE, Clock, ToolDesk

_VISIBLE = st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"])
_MASKS = st.sampled_from(["", "***", "a", "mcp", "sk9f8e7d6c5b4a39281706f5e4", "%20", "é"])


def named(text: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).strip()).strip()


NAMES = st.text(_VISIBLE, min_size=1, max_size=20).map(named).filter(lambda name: 0 < len(name) <= 64)
TEXTS = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=30)
LOGOS = st.sampled_from(["", "/a.png", "https://cdn.example.org/a.png", "https://[::1]:8080/é"])
TOOLS = st.builds(
    ToolEntry,
    name=st.sampled_from(["a", "A", "名字"]) | NAMES,
    display_name=NAMES,
    description=TEXTS,
    logo_url=LOGOS,
    document=st.sampled_from([None, ApiDocument("one\ntwo"), ApiDocument("one")]),
    auth_type=st.sampled_from([None, *AuthType]),
    require_approval=st.booleans(),
)
BUILT_IN_TOOLS = st.builds(
    ToolEntry, name=st.just("calculator"), built_in=st.just(True), require_approval=st.booleans()
)
SERVERS = st.builds(
    ServerEntry,
    name=st.sampled_from(["s", "名字"]) | NAMES,
    transport=st.sampled_from([McpTransport.SSE, McpTransport.STREAMABLE_HTTP]),
    url=st.sampled_from(["https://x.org", "https://x.org/mcp", "http://x.org:81/***/mcp"]),
    description=TEXTS,
    headers=st.lists(st.sampled_from(["Authorization", "X-A", "x-b"]), unique=True, max_size=3).map(tuple),
    require_approval=st.booleans(),
)
BASES = st.builds(KnowledgeEntry, name=st.sampled_from(["k", "手册", "l"]), description=TEXTS)
FILES = st.builds(
    AgentFile,
    name=NAMES,
    description=TEXTS,
    logo_url=LOGOS,
    system_prompt=TEXTS,
    model=st.sampled_from(["", "offline"]),
    enable_memory=st.booleans(),
    tools=st.tuples(st.lists(TOOLS, max_size=4), st.lists(BUILT_IN_TOOLS, max_size=1), st.lists(TOOLS, max_size=2)).map(
        lambda parts: tuple(one for part in parts for one in part)
    ),
    mcp_servers=st.lists(SERVERS, max_size=3).map(tuple),
    knowledge=st.lists(BASES, max_size=3, unique_by=lambda base: base.name).map(tuple),
)
"""Documents as they are exported: of these nothing changes on the way in and out."""


def without(file: AgentFile, missing: tuple[Missing, ...]) -> AgentFile:
    """What an import makes of a document, where this is missing."""
    gone = {(one.kind, one.name) for one in missing}
    return replace(
        file,
        model="" if ("model", file.model) in gone else file.model,
        tools=tuple(one for one in file.tools if ("tool", one.name) not in gone),
        mcp_servers=tuple(one for one in file.mcp_servers if ("mcp_server", one.name) not in gone),
        knowledge=tuple(one for one in file.knowledge if ("knowledge", one.name) not in gone),
    )


@dataclass
class AgentFileDesk(ToolDesk):
    """Implements nothing: it hands a test the use cases."""

    async def export(self, owner: UserId, agent: Agent) -> AgentFile:
        return await ExportAgent(self.transactions, CATALOGUE, self.seals, BUILT_IN)(owner, agent.agent_id)

    async def take(
        self, owner: UserId, file: AgentFile, name: str | None = None, database: Any = None
    ) -> ImportedAgent:
        tools = ImportTools(ScriptedApiDocuments(), self.seals, BUILT_IN)
        servers = ImportServers(self.seals, self.stdio)
        take = ImportAgent(database or self.transactions, Clock(), CATALOGUE, tools, servers)
        return await take(owner, file, name)

    async def roll_back(self, owner: UserId, agent_id: AgentId, version: int) -> RolledBack:
        links = AgentLinks(CATALOGUE, BUILT_IN.tools.keys())
        return await RollBackAgent(self.transactions, Clock(), links)(owner, agent_id, version)
