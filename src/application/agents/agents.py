"""Agents: made, changed, shown, searched and removed by their owner."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from application.models.models import ModelCatalogue
from application.paging import Page, Position, Window
from application.ports.clock import Clock
from application.ports.persistence import Transaction, Transactions
from domain.agents.agents import Agent, AgentDraft
from domain.errors import NotFound
from domain.ids import AgentId, KnowledgeId, McpServerId, ModelId, ToolId, UserId, new_id
from domain.text import search_key

_Id = TypeVar("_Id", bound=str)


@dataclass(frozen=True, slots=True)
class AgentLinks:
    """What agents may point at."""

    models: ModelCatalogue
    built_in: Collection[ToolId]

    async def settled(self, tx: Transaction, agent: Agent, draft: AgentDraft, owner: UserId) -> Agent:
        """The agent as it may be saved in this transaction: with what is there, and stays until its end.

        Raises NotFound for the first that the draft names and that is not the owner's. What else is gone was removed
        just now. Everybody holds things in this order: bases, tools, servers, models, agents.
        """
        bases = _there("knowledge", agent.knowledge_ids, draft.knowledge_ids, await _bases(tx, agent, owner))
        own = [one for one in agent.tool_ids if one not in self.built_in]
        held = await tx.tools.held(own, owner=owner) if own else frozenset()
        tools = _there("tool", agent.tool_ids, draft.tool_ids, {*self.built_in, *held})
        wanted = [McpServerId(one) for one in agent.mcp_ids]
        reached = await tx.mcp_servers.held(wanted, owner=owner) if wanted else frozenset()
        servers = _there("mcp_server", agent.mcp_ids, draft.mcp_ids, reached)
        await self._hold_model(tx, draft.llm_id, owner)
        return replace(agent, knowledge_ids=bases).with_links(tools, servers)

    async def _hold_model(self, tx: Transaction, llm_id: ModelId | None, owner: UserId) -> None:
        """An agent's own model that is removed meanwhile has made another version of the agent."""
        if not llm_id:
            return
        if self.models.has(llm_id):
            self.models.answering(llm_id)
        elif llm_id not in await tx.models.held([llm_id], owner=owner):
            raise NotFound("llm", llm_id)


@dataclass(frozen=True, slots=True)
class CreateAgent:
    transactions: Transactions
    clock: Clock
    links: AgentLinks

    async def __call__(self, actor: UserId, draft: AgentDraft) -> Agent:
        agent = Agent.create(AgentId(new_id()), actor, draft, self.clock.now())
        async with self.transactions.begin() as tx:
            agent = await self.links.settled(tx, agent, draft.cleaned(), actor)
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
            changed = await self.links.settled(tx, changed, draft.cleaned(), actor)
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


async def _bases(tx: Transaction, agent: Agent, owner: UserId) -> Collection[str]:
    if not agent.knowledge_ids:
        return ()
    wanted = [KnowledgeId(one) for one in agent.knowledge_ids]
    return {base.knowledge_id for base in await tx.knowledge.these(wanted, owner=owner)}


def _there(kind: str, ids: Sequence[_Id], named: Sequence[_Id] | None, there: Collection[str]) -> tuple[_Id, ...]:
    for one in named or ():
        if one not in there:
            raise NotFound(kind, one)
    return tuple(one for one in ids if one in there)


def _position(agent: Agent) -> Position:
    return Position(agent.created_at, agent.agent_id)
