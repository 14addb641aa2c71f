"""Agents: made, changed, shown, searched and removed by their owner."""

from collections.abc import Collection
from dataclasses import dataclass

from application.models import ModelCatalogue
from application.paging import Page, Position, Window
from application.ports.clock import Clock
from application.ports.persistence import Transactions
from domain.agents import Agent, AgentDraft
from domain.errors import NotFound
from domain.ids import AgentId, ToolId, UserId, new_id
from domain.text import search_key


@dataclass(frozen=True, slots=True)
class AgentLinks:
    """What agents may point at."""

    models: ModelCatalogue
    tools: Collection[ToolId]

    def check(self, draft: AgentDraft) -> None:
        """Raises NotFound for the first model, tool, MCP server or knowledge that is not there for the caller."""
        if draft.llm_id:
            self.models.answering(draft.llm_id)
        for tool_id in draft.tool_ids or ():
            if tool_id not in self.tools:
                raise NotFound("tool", tool_id)
        for server_id in draft.mcp_ids or ():
            raise NotFound("mcp_server", server_id)
        for knowledge_id in draft.knowledge_ids or ():
            raise NotFound("knowledge", knowledge_id)


@dataclass(frozen=True, slots=True)
class CreateAgent:
    transactions: Transactions
    clock: Clock
    links: AgentLinks

    async def __call__(self, actor: UserId, draft: AgentDraft) -> Agent:
        agent = Agent.create(AgentId(new_id()), actor, draft, self.clock.now())
        self.links.check(draft.cleaned())
        async with self.transactions.begin() as tx:
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
