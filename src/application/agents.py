"""Agents: made, changed, shown, searched and removed by their owner."""

from collections.abc import Collection
from dataclasses import dataclass, replace

from application.models import ModelCatalogue
from application.paging import Page, Position, Window
from application.ports.clock import Clock
from application.ports.persistence import Transaction, Transactions
from domain.agents import Agent, AgentDraft
from domain.errors import NotFound
from domain.ids import AgentId, KnowledgeId, ToolId, UserId, new_id
from domain.text import search_key


@dataclass(frozen=True, slots=True)
class AgentLinks:
    """What agents may point at."""

    models: ModelCatalogue
    tools: Collection[ToolId]

    def check(self, draft: AgentDraft) -> None:
        """Raises NotFound for the first model, tool or MCP server that is not there for the caller."""
        if draft.llm_id:
            self.models.answering(draft.llm_id)
        for tool_id in draft.tool_ids or ():
            if tool_id not in self.tools:
                raise NotFound("tool", tool_id)
        for server_id in draft.mcp_ids or ():
            raise NotFound("mcp_server", server_id)

    async def settled(self, tx: Transaction, agent: Agent, named: Collection[str], owner: UserId) -> Agent:
        """The agent as it may be saved in this transaction: with knowledge that is there, and stays until its end.

        Raises NotFound for the first of `named` that is not the owner's. What else is gone was removed just now.
        """
        if not agent.knowledge_ids:
            return agent
        wanted = [KnowledgeId(one) for one in agent.knowledge_ids]
        there = {base.knowledge_id for base in await tx.knowledge.these(wanted, owner=owner)}
        for one in wanted:
            if one not in there and one in named:
                raise NotFound("knowledge", one)
        return replace(agent, knowledge_ids=tuple(one for one in wanted if one in there))


@dataclass(frozen=True, slots=True)
class CreateAgent:
    transactions: Transactions
    clock: Clock
    links: AgentLinks

    async def __call__(self, actor: UserId, draft: AgentDraft) -> Agent:
        agent = Agent.create(AgentId(new_id()), actor, draft, self.clock.now())
        self.links.check(draft.cleaned())
        async with self.transactions.begin() as tx:
            agent = await self.links.settled(tx, agent, agent.knowledge_ids, actor)
            await tx.agents.add(agent)
        return agent


@dataclass(frozen=True, slots=True)
class ChangeAgent:
    transactions: Transactions
    clock: Clock
    links: AgentLinks

    async def __call__(
        self, actor: UserId, agent_id: AgentId, draft: AgentDraft, *, expected_version: int | None = None
    ) -> Agent:
        async with self.transactions.begin() as tx:
            agent = await tx.agents.get(agent_id, owner=actor)
            changed = agent.change(draft, self.clock.now(), expected_version=expected_version)
            self.links.check(draft.cleaned())
            changed = await self.links.settled(tx, changed, draft.cleaned().knowledge_ids or (), actor)
            await tx.agents.save(changed)
        return changed


@dataclass(frozen=True, slots=True)
class DeleteAgent:
    transactions: Transactions

    async def __call__(self, actor: UserId, agent_id: AgentId) -> None:
        async with self.transactions.begin() as tx:
            agent = await tx.agents.get(agent_id, owner=actor)
            agent.refuse_if_built_in()
            await tx.agents.remove(agent)


@dataclass(frozen=True, slots=True)
class ShowAgent:
    transactions: Transactions

    async def __call__(self, actor: UserId, agent_id: AgentId) -> Agent:
        async with self.transactions.autocommit() as tx:
            return await tx.agents.get(agent_id, owner=actor)


@dataclass(frozen=True, slots=True)
class ListAgents:
    """The caller's agents and the built-in ones, newest first."""

    transactions: Transactions

    async def __call__(self, actor: UserId, window: Window) -> Page[Agent]:
        async with self.transactions.autocommit() as tx:
            rows = await tx.agents.list(window, owner=actor)
        return Page.cut(rows, window, _position)


@dataclass(frozen=True, slots=True)
class SearchAgents:
    """Those whose name holds the words as they are: `%` and `_` mean themselves."""

    transactions: Transactions

    async def __call__(self, actor: UserId, part: str, window: Window) -> Page[Agent]:
        async with self.transactions.autocommit() as tx:
            rows = await tx.agents.list(window, owner=actor, name_part=search_key(part.strip()))
        return Page.cut(rows, window, _position)


def _position(agent: Agent) -> Position:
    return Position(agent.created_at, agent.agent_id)
