"""Agents refer to their owner's bases, as long as these are there."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest

from adapters.database.transactions import DatabaseTransactions
from application.agents.agents import AgentLinks, ChangeAgent, CreateAgent, ShowAgent
from application.models.models import ModelCatalogue
from domain.agents.agents import Agent, AgentDraft
from domain.errors import Conflict, NotFound
from domain.ids import ModelId, UserId
from domain.models.models import ModelSpec, Provider
from knowledge_desk import KnowledgeDesk, Watched
from stored import registered

CATALOGUE = ModelCatalogue.of([ModelSpec(ModelId("offline"), Provider.OFFLINE, "offline")], ModelId("offline"))


@dataclass
class Agents:
    desk: KnowledgeDesk
    owner: UserId

    def create(self, database: Any = None) -> CreateAgent:
        return CreateAgent(database or self.desk.transactions, self.desk.clock, AgentLinks(CATALOGUE, ()))

    def change(self, database: Any = None) -> ChangeAgent:
        return ChangeAgent(database or self.desk.transactions, self.desk.clock, AgentLinks(CATALOGUE, ()))

    async def links(self, agent: Agent) -> tuple[str, ...]:
        return (await ShowAgent(self.desk.transactions)(self.owner, agent.agent_id)).knowledge_ids


@pytest.fixture
async def agents(transactions: DatabaseTransactions) -> Agents:
    return Agents(KnowledgeDesk(transactions), await registered(transactions))


async def test_an_agent_keeps_its_bases_in_order(agents: Agents) -> None:
    ids = [(await agents.desk.base(agents.owner, name)).knowledge_id for name in "cab"]
    agent = await agents.create()(agents.owner, AgentDraft(name="a", knowledge_ids=tuple(ids)))
    assert await agents.links(agent) == tuple(ids)
    await agents.change()(agents.owner, agent.agent_id, AgentDraft(knowledge_ids=tuple(reversed(ids))))
    assert await agents.links(agent) == tuple(reversed(ids))
    await agents.change()(agents.owner, agent.agent_id, AgentDraft(description="d"))
    assert await agents.links(agent) == tuple(reversed(ids))


async def test_a_base_that_is_missing_or_somebody_else_s_is_named_and_nothing_saved(agents: Agents) -> None:
    mine = (await agents.desk.base(agents.owner)).knowledge_id
    stranger = await registered(agents.desk.transactions)
    theirs = (await agents.desk.base(stranger)).knowledge_id
    gone = (await agents.desk.base(agents.owner, "gone")).knowledge_id
    await agents.desk.delete(agents.owner, gone)
    agent = await agents.create()(agents.owner, AgentDraft(name="a", knowledge_ids=(mine,)))
    for other in (theirs, gone, "\U0001f600", "x" * 128):
        draft = AgentDraft(name="b", knowledge_ids=(mine, other))
        for act in (agents.create()(agents.owner, draft), agents.change()(agents.owner, agent.agent_id, draft)):
            with pytest.raises(NotFound, match=f"no knowledge '{other[:20]}") as refused:
                await act
            assert refused.value.code == "knowledge_not_found"
    assert await agents.links(agent) == (mine,)


async def test_a_base_that_goes_takes_its_references_along(agents: Agents) -> None:
    one, two = [(await agents.desk.base(agents.owner, name)).knowledge_id for name in "ab"]
    agent = await agents.create()(agents.owner, AgentDraft(name="a", knowledge_ids=(one, two)))
    await agents.desk.delete(agents.owner, one)
    assert await agents.links(agent) == (two,)


async def test_a_base_removed_while_an_agent_is_saved_leaves_no_reference(agents: Agents) -> None:
    """Whoever comes first: the agent is refused, or saved and then stripped."""
    for at in range(1, 4):
        base = await agents.desk.base(agents.owner, f"base {at}")
        agent = await agents.create()(agents.owner, AgentDraft(name=f"a{at}", knowledge_ids=(base.knowledge_id,)))
        removal: list[asyncio.Task[None]] = []

        async def remove(knowledge_id: Any = base.knowledge_id, removal: Any = removal) -> None:
            removal.append(asyncio.create_task(agents.desk.delete(agents.owner, knowledge_id)))
            await asyncio.sleep(0.02)

        database = Watched(agents.desk.transactions, at, remove, inside=True)
        with suppress(Conflict):
            await agents.change(database)(agents.owner, agent.agent_id, AgentDraft(description="new"))
        await removal[0]
        assert await agents.links(agent) == ()


async def test_a_change_that_names_no_base_drops_those_that_went_meanwhile(agents: Agents) -> None:
    base = await agents.desk.base(agents.owner)
    agent = await agents.create()(agents.owner, AgentDraft(name="a", knowledge_ids=(base.knowledge_id,)))
    await agents.desk.delete(agents.owner, base.knowledge_id)
    changed = await agents.change()(agents.owner, agent.agent_id, AgentDraft(description="new"))
    assert changed.knowledge_ids == ()


async def test_an_agent_without_bases_asks_for_none(agents: Agents, statements: list[str]) -> None:
    statements.clear()
    await agents.create()(agents.owner, AgentDraft(name="a"))
    assert [one for one in statements if "knowledge_bases" in one] == []
