"""Tools of an answer that waited for a person: the same ones, under the names that the model knows, or a reason."""

import asyncio
from dataclasses import dataclass, replace

import pytest

from adapters.database.transactions import DatabaseTransactions
from adapters.scripted import ScriptedChatModel, ScriptedMcpConnections, call, delta, finished
from adapters.security import FernetBox
from application.chat.chat import ChatRequest
from application.chat.offered_again import GONE
from application.ports.mcp_connections import McpTool
from application.sealing import Seals
from chat_desk import ChatDesk
from domain.agents.agents import Agent
from domain.chat.chat_events import Recorded, ToolProgress
from domain.conversation.conversation import ToolTurn
from domain.dialogs.messages import StepStatus
from domain.ids import AgentId, RunId, UserId, new_id
from domain.runs.pauses import Approval
from domain.runs.runs import RunStatus
from domain.tools.mcp_servers import McpServer
from patience import PATIENCE
from stored import NOW
from tool_desk import SECRETS, mcp_server

A, B = "https://a.example.org/mcp", "https://b.example.org/mcp"
SEARCH = McpTool("search", "", "Searches", {"type": "object", "properties": {}})
DONE = [delta("Done."), finished()]


@dataclass
class Scene:
    """Two servers with a tool of the same name. What the second one is asked waits for the person."""

    desk: ChatDesk
    servers: ScriptedMcpConnections
    actor: UserId
    first: McpServer
    second: McpServer
    agent: Agent

    async def asked(self) -> RunId:
        run = await self.desk.start(self.actor, ChatRequest("go", "d", self.agent.agent_id, background=True))
        await run.wait(10)
        assert (await self.desk.show(self.actor, run.state.run_id)).status is RunStatus.WAITING
        return run.state.run_id

    async def ended(self, run_id: RunId) -> list[ToolProgress]:
        """What was told after the person said yes."""
        before = await self._events(run_id)
        await self.desk.approve(self.actor, run_id, Approval("c1", True))
        async with asyncio.timeout(PATIENCE):
            while (await self.desk.show(self.actor, run_id)).is_open:
                await asyncio.sleep(0.01)
        seen: list[Recorded] = await self.desk.resumed(self.actor, run_id)
        return [one.event for one in seen[before:] if isinstance(one.event, ToolProgress)]

    async def _events(self, run_id: RunId) -> int:
        async with self.desk.transactions.autocommit() as tx:
            return len(await tx.runs.log(run_id, 0, 1_000))

    @property
    def made(self) -> list[str]:
        """Where calls went: listings come first."""
        return [one.name for one in self.servers.asked]


@pytest.fixture
async def scene(transactions: DatabaseTransactions) -> Scene:
    return await _scene(transactions, "search_2", {A: [SEARCH], B: [SEARCH]})


async def _scene(
    transactions: DatabaseTransactions, called: str, offers: dict[str, list[McpTool] | str], *more: list[object]
) -> Scene:
    servers = ScriptedMcpConnections(offers)  # type: ignore[arg-type]
    turns = [[call(called, call_id="c1"), finished()], *more, DONE]
    desk = ChatDesk(transactions, ScriptedChatModel(turns=turns), connections=servers)  # type: ignore[arg-type]
    actor = await desk.person()
    first, second = mcp_server(actor, name="A", url=A), mcp_server(actor, name="B", url=B)
    agent = Agent(
        AgentId(new_id()),
        actor,
        "Ada",
        NOW,
        NOW,
        mcp_ids=(first.server_id, second.server_id),
        require_approval=(second.server_id,),
    )
    seals = Seals(FernetBox(SECRETS))
    async with transactions.begin() as tx:
        await tx.mcp_servers.add(seals.server(first))
        await tx.mcp_servers.add(seals.server(second))
        await tx.agents.add(agent)
    return Scene(desk, servers, actor, first, second, agent)


def outcomes(told: list[ToolProgress]) -> list[tuple[StepStatus, str]]:
    return [(one.step.status, one.step.message) for one in told]


def answers(scene: Scene) -> list[str]:
    last = scene.desk.model.requests[-1].turns[-1]
    assert isinstance(last, ToolTurn)
    return [one.content for one in last.results]


async def test_an_approved_call_reaches_its_server_though_another_one_is_away_by_then(scene: Scene) -> None:
    run_id = await scene.asked()
    scene.servers.offers[A] = "it is away."
    told = await scene.ended(run_id)
    assert [one.step.status for one in told] == [StepStatus.ERROR, StepStatus.START, StepStatus.END]
    assert "it is away" in told[0].step.message
    assert scene.made[-1] == "B"
    assert "search: {}" in answers(scene)[0]


async def test_an_approved_call_reaches_its_server_though_another_one_is_back_by_then(
    transactions: DatabaseTransactions,
) -> None:
    scene = await _scene(transactions, "search", {A: "it is away.", B: [SEARCH]})
    run_id = await scene.asked()
    scene.servers.offers[A] = [SEARCH]
    told = await scene.ended(run_id)
    assert [one.step.status for one in told] == [StepStatus.START, StepStatus.END]
    # The one that was away when the model was asked is not even looked at.
    assert scene.made[-2:] == ["B", "B"]


async def test_a_server_that_is_away_at_the_word_is_told_and_its_call_says_why(scene: Scene) -> None:
    run_id = await scene.asked()
    scene.servers.offers[B] = "it refused the connection."
    told = await scene.ended(run_id)
    assert [one.step.status for one in told] == [StepStatus.ERROR, StepStatus.START, StepStatus.ERROR]
    assert told[0].step.title == "B"
    assert all("it refused the connection" in one.step.message for one in (told[0], told[-1]))
    assert "it refused the connection" in answers(scene)[0]


async def test_a_tool_that_its_server_has_no_more_is_said_to_be_gone(scene: Scene) -> None:
    run_id = await scene.asked()
    scene.servers.offers[B] = []
    told = await scene.ended(run_id)
    assert outcomes(told)[-1] == (StepStatus.ERROR, GONE)


async def test_a_server_that_reaches_something_else_by_then_is_not_called(scene: Scene) -> None:
    run_id = await scene.asked()
    seals = Seals(FernetBox(SECRETS))
    elsewhere = replace(
        scene.second, address=replace(scene.second.address, url="https://c.example.org/mcp"), updated_at=NOW
    )
    async with scene.desk.transactions.begin() as tx:
        await tx.mcp_servers.save(seals.server(elsewhere))
    scene.servers.offers["https://c.example.org/mcp"] = [SEARCH]
    told = await scene.ended(run_id)
    assert outcomes(told)[-1] == (StepStatus.ERROR, GONE)


async def test_nobody_is_asked_about_a_further_call_of_what_is_away(transactions: DatabaseTransactions) -> None:
    further = [call("search_2", call_id="c2"), finished()]
    scene = await _scene(transactions, "search_2", {A: [SEARCH], B: [SEARCH]}, further)
    run_id = await scene.asked()
    scene.servers.offers[B] = "it is away."
    told = await scene.ended(run_id)
    assert StepStatus.APPROVAL not in [one.step.status for one in told]
    assert [one.step.tool_call_id for one in told if one.step.status is StepStatus.ERROR][-2:] == ["c1", "c2"]


async def test_other_tools_keep_the_names_that_the_model_knows(transactions: DatabaseTransactions) -> None:
    """After the word the model calls the first server's tool, whose name would be another by now."""
    scene = await _scene(
        transactions, "search_2", {A: [SEARCH], B: [SEARCH]}, [call("search", call_id="c2"), finished()]
    )
    run_id = await scene.asked()
    await scene.ended(run_id)
    assert scene.made[-2:] == ["B", "A"]
    assert "search: {}" in answers(scene)[0]
