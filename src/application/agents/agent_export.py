"""An agent as a document that others can read: what it uses in full, and no secret of it."""

from dataclasses import dataclass, replace

from application.files.file_links import file_in
from application.models.models import ModelCatalogue
from application.ports.persistence import Transaction, Transactions
from application.sealing import Seals
from application.tools.tools import BuiltInTools
from domain.agents.agent_files import AgentFile, KnowledgeEntry, ServerEntry, ToolEntry, without_secrets
from domain.agents.agents import Agent
from domain.errors import NotFound
from domain.ids import AgentId, KnowledgeId, McpServerId, UserId
from domain.tools.user_tools import UserTool


@dataclass(frozen=True, slots=True)
class ExportAgent:
    """Everything in the agent's order: the same agent gives the same document."""

    transactions: Transactions
    catalogue: ModelCatalogue
    seals: Seals
    built_in: BuiltInTools

    async def __call__(self, actor: UserId, agent_id: AgentId) -> AgentFile:
        """One statement for each kind of what it uses. Raises NotFound."""
        async with self.transactions.autocommit() as tx:
            agent = await tx.agents.get(agent_id, owner=actor)
            model, own_model = await self._model(tx, agent, actor)
            return AgentFile(
                agent.name,
                agent.description,
                shared_logo(agent.logo_url),
                agent.system_prompt,
                model,
                agent.enable_memory,
                await self._tools(tx, agent, actor),
                await self._servers(tx, agent, actor),
                await _knowledge(tx, agent, actor),
                own_model,
            )

    async def _model(self, tx: Transaction, agent: Agent, owner: UserId) -> tuple[str, bool]:
        """Its name, and whether it is one of the owner's own."""
        if not agent.llm_id or self.catalogue.has(agent.llm_id):
            return agent.llm_id or "", False
        try:
            return (await tx.models.get(agent.llm_id, owner=owner)).model, True
        except NotFound:
            # The operator took it out of the configuration: elsewhere it may be there.
            return agent.llm_id, False

    async def _tools(self, tx: Transaction, agent: Agent, owner: UserId) -> tuple[ToolEntry, ...]:
        own = [one for one in agent.tool_ids if one not in self.built_in.tools]
        found = {one.tool_id: one for one in await tx.tools.these(own, owner=owner)} if own else {}
        entries: list[ToolEntry] = []
        for tool_id in agent.tool_ids:
            waits = tool_id in agent.require_approval
            if tool_id in self.built_in.tools:
                entries.append(ToolEntry.of_built_in(self.built_in.tools[tool_id], waits=waits))
            elif tool_id in found:
                entries.append(tool_entry(found[tool_id], waits=waits))
        return tuple(entries)

    async def _servers(self, tx: Transaction, agent: Agent, owner: UserId) -> tuple[ServerEntry, ...]:
        if not agent.mcp_ids:
            return ()
        wanted = [McpServerId(one) for one in agent.mcp_ids]
        found = {one.server_id: one for one in await tx.mcp_servers.these(wanted, owner=owner)}
        return tuple(
            ServerEntry.of(self.seals.shown(found[one]), waits=one in agent.require_approval)
            for one in wanted
            if one in found
        )


async def _knowledge(tx: Transaction, agent: Agent, owner: UserId) -> tuple[KnowledgeEntry, ...]:
    if not agent.knowledge_ids:
        return ()
    wanted = [KnowledgeId(one) for one in agent.knowledge_ids]
    found = {one.knowledge_id: one for one in await tx.knowledge.these(wanted, owner=owner)}
    return tuple(KnowledgeEntry.of(found[one]) for one in wanted if one in found)


def tool_entry(tool: UserTool, *, waits: bool) -> ToolEntry:
    return replace(ToolEntry.of(tool, waits=waits), logo_url=shared_logo(tool.logo_url))


def shared_logo(url: str) -> str:
    """None for a file of this server: it is its owner's, and its address is signed for a while only."""
    return "" if file_in(url) else without_secrets(url)
