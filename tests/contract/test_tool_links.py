"""Agents refer to their owner's tools and MCP servers, as long as these are there."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest

from adapters.database.transactions import DatabaseTransactions
from application.paging import Window
from domain.agents.agents import Agent, AgentDraft
from domain.errors import Conflict, InvalidValue, NotFound
from domain.ids import McpServerId, ToolId, UserId
from knowledge_desk import Watched
from stored import registered
from tool_desk import CALCULATOR, ToolDesk


@dataclass
class Scene:
    """An agent with two tools and two servers, of which one each waits for a person."""

    desk: ToolDesk
    owner: UserId
    tools: list[ToolId]
    servers: list[McpServerId]
    agent: Agent

    async def now(self) -> Agent:
        return await self.desk.agent(self.owner, self.agent)


@pytest.fixture
async def scene(transactions: DatabaseTransactions) -> Scene:
    desk, owner = ToolDesk(transactions), await registered(transactions)
    tools = [(await desk.tool(owner, name)).tool_id for name in "ab"]
    servers = [(await desk.server(owner, name=name)).server_id for name in "ab"]
    draft = AgentDraft(
        name="a",
        tool_ids=(tools[0], CALCULATOR, tools[1]),
        mcp_ids=tuple(servers),
        require_approval=(tools[0], servers[0], CALCULATOR),
    )
    return Scene(desk, owner, tools, servers, await desk.create_agent()(owner, draft))


async def test_an_agent_keeps_its_links_in_order(scene: Scene) -> None:
    kept = await scene.now()
    assert kept == scene.agent
    assert kept.tool_ids == (scene.tools[0], CALCULATOR, scene.tools[1])
    assert kept.mcp_ids == tuple(scene.servers)
    assert kept.require_approval == (scene.tools[0], scene.servers[0], CALCULATOR)


async def test_what_goes_takes_its_references_along_and_the_version_on(scene: Scene) -> None:
    await scene.desk.delete_tool(scene.owner, scene.tools[0])
    kept = await scene.now()
    assert kept.tool_ids == (CALCULATOR, scene.tools[1])
    assert kept.require_approval == (scene.servers[0], CALCULATOR)
    assert kept.version == scene.agent.version + 1
    await scene.desk.delete_server(scene.owner, scene.servers[0])
    kept = await scene.now()
    assert (kept.mcp_ids, kept.require_approval) == ((scene.servers[1],), (CALCULATOR,))
    assert scene.desk.connections.forgotten == [scene.servers[0]]


async def test_what_is_missing_or_somebody_else_s_is_named_and_nothing_saved(scene: Scene) -> None:
    stranger = await registered(scene.desk.transactions)
    tool, server = await scene.desk.tool(stranger), await scene.desk.server(stranger)
    create, change = scene.desk.create_agent(), scene.desk.change_agent()
    for draft, code, named in (
        (AgentDraft(name="b", tool_ids=(scene.tools[0], tool.tool_id)), "tool_not_found", tool.tool_id),
        (AgentDraft(name="b", tool_ids=(ToolId("gone"),)), "tool_not_found", "gone"),
        (AgentDraft(name="b", tool_ids=(ToolId(scene.servers[0]),)), "tool_not_found", scene.servers[0]),
        (AgentDraft(name="b", mcp_ids=(scene.servers[0], server.server_id)), "mcp_server_not_found", server.server_id),
        (AgentDraft(name="b", mcp_ids=(scene.tools[0],)), "mcp_server_not_found", scene.tools[0]),
        (AgentDraft(name="b", mcp_ids=("😀" * 100,)), "mcp_server_not_found", "😀"),
    ):
        for act in (create(scene.owner, draft), change(scene.owner, scene.agent.agent_id, draft)):
            with pytest.raises(NotFound, match=named) as refused:
                await act
            assert refused.value.code == code
    assert await scene.now() == scene.agent


async def test_what_waits_for_a_person_must_be_the_agent_s(scene: Scene) -> None:
    change = scene.desk.change_agent()
    draft = AgentDraft(tool_ids=(scene.tools[0],), require_approval=(scene.tools[1],))
    with pytest.raises(InvalidValue) as refused:
        await change(scene.owner, scene.agent.agent_id, draft)
    assert refused.value.fields[0].name == "require_approval"
    with pytest.raises(InvalidValue):
        await scene.desk.create_agent()(scene.owner, AgentDraft(name="b", require_approval=("gone",)))
    await change(scene.owner, scene.agent.agent_id, AgentDraft(tool_ids=()))
    assert (await scene.now()).require_approval == (scene.servers[0],)


@pytest.mark.parametrize("at", [1, 2, 3, 4])
async def test_what_is_removed_while_an_agent_is_saved_leaves_no_reference(scene: Scene, at: int) -> None:
    """Whoever comes first: the agent is refused, or saved and then stripped."""
    removals: list[asyncio.Task[None]] = []

    async def remove() -> None:
        removals.append(asyncio.create_task(scene.desk.delete_tool(scene.owner, scene.tools[0])))
        removals.append(asyncio.create_task(scene.desk.delete_server(scene.owner, scene.servers[0])))
        await asyncio.sleep(0.02)

    database: Any = Watched(scene.desk.transactions, at, remove, inside=True)
    with suppress(Conflict):
        await scene.desk.change_agent(database)(scene.owner, scene.agent.agent_id, AgentDraft(description="new"))
    assert len(removals) == 2
    await asyncio.gather(*removals)
    kept = await scene.now()
    assert (kept.tool_ids, kept.mcp_ids) == ((CALCULATOR, scene.tools[1]), (scene.servers[1],))
    assert kept.require_approval == (CALCULATOR,)


@pytest.mark.parametrize("at", [2, 3, 4, 5])
async def test_what_is_removed_while_an_agent_is_made_leaves_no_reference(scene: Scene, at: int) -> None:
    """A new agent has no version that could betray a removal."""
    removals: list[asyncio.Task[None]] = []

    async def remove() -> None:
        removals.append(asyncio.create_task(scene.desk.delete_tool(scene.owner, scene.tools[0])))
        removals.append(asyncio.create_task(scene.desk.delete_server(scene.owner, scene.servers[0])))
        await asyncio.sleep(0.02)

    database: Any = Watched(scene.desk.transactions, at, remove, inside=True)
    draft = AgentDraft(name="b", tool_ids=(scene.tools[0],), mcp_ids=(scene.servers[0],))
    with suppress(NotFound):
        await scene.desk.create_agent(database)(scene.owner, draft)
    assert len(removals) == 2
    await asyncio.gather(*removals)
    async with scene.desk.transactions.autocommit() as tx:
        for agent in await tx.agents.list(Window(), owner=scene.owner):
            assert scene.tools[0] not in agent.tool_ids
            assert scene.servers[0] not in agent.mcp_ids


async def test_a_change_that_names_nothing_drops_what_went_meanwhile(scene: Scene) -> None:
    async with scene.desk.transactions.begin() as tx:
        agent = await tx.agents.get(scene.agent.agent_id, owner=scene.owner)
        await tx.tools.remove(scene.tools[0], agent.updated_at, owner=scene.owner)
    changed = await scene.desk.change_agent()(scene.owner, scene.agent.agent_id, AgentDraft(description="new"))
    assert changed.tool_ids == (CALCULATOR, scene.tools[1])


async def test_an_agent_without_own_tools_asks_for_none(scene: Scene, statements: list[str]) -> None:
    statements.clear()
    await scene.desk.create_agent()(scene.owner, AgentDraft(name="b", tool_ids=(CALCULATOR,)))
    assert [one for one in statements if "FROM tools" in one or "mcp_servers" in one] == []


async def test_links_cost_a_statement_for_each_kind(scene: Scene, statements: list[str]) -> None:
    statements.clear()
    await scene.desk.change_agent()(scene.owner, scene.agent.agent_id, AgentDraft(description="new"))
    assert len([one for one in statements if one.startswith(("SELECT", "UPDATE"))]) == 4
