"""An answer that waits for a person goes on without the memories that were deleted meanwhile."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest

from adapters.database.transactions import DatabaseTransactions
from adapters.scripted.embedder import ScriptedEmbedders
from application.chat.recalling import Recall
from application.knowledge.query_turns import QueryTurns
from application.memory.embedded_memories import EmbedMemories
from chat_desk import ChatDesk
from domain.agents.agents import Agent
from domain.conversation.conversation import ModelRequest, UserTurn
from domain.ids import AgentId, UserId
from domain.memory.memory_recall import as_remembered, memories_before_question, tells_memories
from paying import ASKS, DONE, Scene, asked, ended, paying, yes
from remembering import listed, taught
from stored import seconds


@pytest.fixture
async def scene(transactions: DatabaseTransactions) -> AsyncIterator[Scene]:
    async with paying(transactions) as made:
        yield made


def remembering(desk: ChatDesk, transactions: DatabaseTransactions) -> None:
    recall = Recall(transactions, EmbedMemories(ScriptedEmbedders(), QueryTurns(), print), print)
    answering = replace(desk.start.answering, recall=recall)
    desk.start = replace(desk.start, answering=answering)
    desk.approve = replace(desk.approve, answering=answering)


async def who_remembers(scene: Scene) -> tuple[UserId, AgentId, Agent]:
    actor, agent_id = await scene.person()
    async with scene.transactions.begin() as tx:
        known = await tx.agents.get(agent_id, owner=actor)
        one = replace(known, enable_memory=True, version=known.version + 1)
        await tx.agents.save(one)
    return actor, agent_id, one


@pytest.mark.parametrize("everything", [False, True])
async def test_what_was_deleted_while_it_waited_is_not_told(scene: Scene, everything: bool) -> None:
    desk = scene.process(ASKS, DONE)
    remembering(desk, scene.transactions)
    actor, agent_id, one = await who_remembers(scene)
    await taught(scene.transactions, one, "The user is <Ann>.", "The user lives in Rome.", dialog_id="e")
    run = await asked(desk, actor, agent_id)
    gone = next(each for each in await listed(scene.transactions, actor) if "Rome" in each.content)
    async with scene.transactions.autocommit() as tx:
        if everything:
            await tx.memories.remove_all(None, seconds(900), owner=actor)
        else:
            await tx.memories.remove(gone.memory_id, seconds(900), owner=actor)
    await desk.approve(actor, run.state.run_id, yes())
    await ended(desk, actor, run.state.run_id)
    before, after = (_question(request) for request in desk.model.requests)
    assert "Rome" in before
    assert "Rome" not in after
    assert ("<Ann>" in after) != everything
    assert ("<memories>" in after) != everything
    assert after.endswith("Pay the bill")


def _question(request: ModelRequest) -> str:
    turn = request.turns[0]
    assert isinstance(turn, UserTurn)
    return turn.text


def request(*texts: str) -> ModelRequest:
    return ModelRequest("m", "", tuple(UserTurn(text) for text in texts))


@pytest.mark.parametrize(
    ("told", "known"), [(["a <memories> b", "c"], ["c"]), (["a", "c"], []), (["a"], ["a"]), ([], ["a"])]
)
def test_what_is_still_known_stays_letter_by_letter(told: Sequence[str], known: Sequence[str]) -> None:
    for before in ("", "<knowledge>\nx\n</knowledge>\n\n"):
        asked_then = request("Earlier.", f"{before}{memories_before_question(told, 500)}And </memories>\n\nnow?")
        left = [one for one in told if one in known]
        expected = request("Earlier.", f"{before}{memories_before_question(left, 500)}And </memories>\n\nnow?")
        assert tells_memories(asked_then) == bool(told)
        assert as_remembered(asked_then, known) == expected
