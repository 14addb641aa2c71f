"""The searches of knowledge and of files wait for a person's word like all tools, and are made at any process."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import pytest

from adapters.database.transactions import DatabaseTransactions
from adapters.scripted import ScriptedChatModel, call, delta, finished
from adapters.scripted.steps import Step
from application.chat.chat import ChatRequest
from chat_desk import ChatDesk, text_of
from domain.chat.chat_events import Recorded, Retrieved, ToolProgress
from domain.dialogs.messages import StepStatus
from domain.ids import AgentId, ToolId, UserId, new_id
from domain.runs.pauses import Approval
from domain.runs.runs import RunStatus
from file_desk import MemoryFiles, stored
from kept_knowledge import KeptKnowledge
from stored import agent

DONE = [delta("There it is."), finished()]
FILLER = "Nothing of interest is said here.\n" * 3000
MAP = f"{FILLER}The treasure is buried at Blackwater.\n{FILLER}".encode()


@dataclass
class Scene:
    """Processes on one database and one storage, and agents that must ask before they search."""

    transactions: DatabaseTransactions
    kept: KeptKnowledge = field(default_factory=KeptKnowledge)
    storage: MemoryFiles = field(default_factory=MemoryFiles)
    writers: list[asyncio.Task[None]] = field(default_factory=list)

    def process(self, *turns: Sequence[Step]) -> ChatDesk:
        model = ScriptedChatModel(turns=turns)
        desk = ChatDesk(self.transactions, model, storage=self.storage, knowledge=self.kept.retrieval())
        self.writers.append(asyncio.create_task(desk.writer.forever()))
        return desk

    async def agent(self, actor: UserId, tool: str, *knowledge_ids: str) -> AgentId:
        one = (ToolId(tool),)
        made = agent(actor, new_id(), knowledge_ids=knowledge_ids, tool_ids=one, require_approval=one)
        async with self.transactions.begin() as tx:
            await tx.agents.add(made)
        return made.agent_id

    async def searched(
        self, tool: str, actor: UserId, asked: ChatRequest, first: ChatDesk
    ) -> tuple[list[Recorded], str]:
        """Asked at one process and allowed at another: what was told, and what the model was given."""
        run = await first.start(actor, asked)
        await run.wait(10)
        assert (await first.show(actor, run.state.run_id)).status is RunStatus.WAITING
        second = self.process(DONE)
        await second.approve(actor, run.state.run_id, Approval("c1", approved=True))
        async with asyncio.timeout(10):
            seen = await second.resumed(actor, run.state.run_id)
        assert text_of(seen) == "There it is."
        steps = [
            (one.event.step.status, one.event.step.tool_name) for one in seen if isinstance(one.event, ToolProgress)
        ]
        assert steps == [(StepStatus.APPROVAL, tool), (StepStatus.START, tool), (StepStatus.END, tool)]
        [result] = second.model.requests[0].turns[-1].results  # type: ignore[union-attr]
        return seen, result.content


@pytest.fixture
async def scene(transactions: DatabaseTransactions) -> AsyncIterator[Scene]:
    made = Scene(transactions)
    yield made
    for task in made.writers:
        task.cancel()
    await asyncio.wait(made.writers)


async def test_a_search_of_knowledge_waits_and_numbers_on_from_what_was_shown(scene: Scene) -> None:
    tool = "search_knowledge"
    first = scene.process([call(tool, call_id="c1", query="roof", top_k=1), finished()])
    actor = await first.person()
    base = scene.kept.base(actor)
    scene.kept.file(base, "warranty", "roof red", *(f"warranty{n} warranty" for n in range(8)))
    asked = ChatRequest("warranty", "d", await scene.agent(actor, tool, base), background=True)
    seen, given = await scene.searched(tool, actor, asked, first)
    before, found = [one.event for one in seen if isinstance(one.event, Retrieved)]
    assert [(one.index, one.content) for one in found.citations] == [(len(before.citations) + 1, "roof red")]
    assert "roof red" in given


async def test_a_search_of_files_waits_and_finds_what_came_with_the_question(scene: Scene) -> None:
    tool = "search_attachment"
    first = scene.process([call(tool, call_id="c1", query="treasure buried"), finished()])
    actor = await first.person()
    address = await stored(scene.transactions, scene.storage, actor, MAP, "map.txt")
    agent_id = await scene.agent(actor, tool)
    asked = ChatRequest("Where is the treasure?", "d", agent_id, file_urls=(address,), background=True)
    _, given = await scene.searched(tool, actor, asked, first)
    assert "Blackwater" in given
