"""What runs, uploads and readings leave in the numbers, on both databases: each counts once, however it ended."""

import asyncio

import pytest

from adapters.database.transactions import DatabaseTransactions
from adapters.scripted import ScriptedChatModel, delta, fail, finished, hold
from application.runs.run_registry import RunRegistry
from application.runs.run_statistics import RunStatistics
from asked_files import ask
from chat_desk import ChatDesk
from domain.conversation.conversation import Usage
from domain.dialogs.messages import AnswerStatus
from domain.errors import Conflict, InvalidValue, NotFound, TooManyRequests, Unavailable
from domain.files.files import FileKind
from file_desk import stored


def desk(transactions: DatabaseTransactions, model: ScriptedChatModel, most: int = 100) -> ChatDesk:
    registry = RunRegistry(most, 20, statistics=RunStatistics({"scripted"}))
    return ChatDesk(transactions, model, registry)


async def ends(desk: ChatDesk) -> dict[tuple[str, ...], int]:
    """Readers have the end of a run a moment before it counts."""
    while desk.registry.live():
        await asyncio.sleep(0)
    return {labels: count for labels, count in desk.registry.statistics.ended if count}


async def test_an_answer_counts_once_with_its_tokens(transactions: DatabaseTransactions) -> None:
    model = ScriptedChatModel([delta("a"), delta("b"), finished(usage=Usage(30, 4))], repeat=True)
    chat = desk(transactions, model)
    actor = await chat.person()
    for number in range(3):
        await chat.answer(actor, dialog=str(number))
    assert await ends(chat) == {("complete", ""): 3}
    tokens = chat.registry.statistics.tokens
    assert (tokens["scripted", "input"], tokens["scripted", "output"]) == (90, 12)
    assert sum(chat.registry.statistics.first_text["scripted"].counts) == 3


async def test_a_stopped_and_a_failed_answer_count_as_such(transactions: DatabaseTransactions) -> None:
    gate = hold()
    chat = desk(transactions, ScriptedChatModel(turns=[[delta("x"), gate], [fail("model_timeout")]]))
    actor = await chat.person()
    run = await chat.ask(actor)
    await gate.reached.wait()
    assert len(chat.registry.live()) == 1
    await chat.stop(actor, run_id=run.state.run_id, dialog_id=None)
    await chat.answer(actor, dialog="e")
    assert await ends(chat) == {("stopped", ""): 1, ("failed", "model_timeout"): 1}


async def test_an_interrupted_answer_counts_as_such(transactions: DatabaseTransactions) -> None:
    gate = hold()
    chat = desk(transactions, ScriptedChatModel([gate]))
    run = await chat.ask(await chat.person())
    await gate.reached.wait()
    run.end(AnswerStatus.INTERRUPTED)
    assert await ends(chat) == {("interrupted", ""): 1}
    assert chat.registry.statistics.first_text == {}


async def test_refused_questions_count_by_code_and_make_no_run(transactions: DatabaseTransactions) -> None:
    gate = hold()
    chat = desk(transactions, ScriptedChatModel([gate]), most=2)
    actor, other = await chat.person(), await chat.person()
    run = await chat.ask(actor)
    with pytest.raises(Conflict):
        await chat.ask(actor)
    chat.registry.max_runs = 1
    with pytest.raises(TooManyRequests):
        await chat.ask(other)
    chat.registry.draining = True
    with pytest.raises(Unavailable):
        await chat.ask(other)
    refused = dict(chat.registry.statistics.refused)
    assert refused == {("dialog_busy",): 1, ("too_many_runs",): 1, ("shutting_down",): 1}
    gate.release()
    await run.wait()


async def test_a_document_is_known_when_it_comes_again(transactions: DatabaseTransactions) -> None:
    chat = desk(transactions, ScriptedChatModel([delta("So it is."), finished()], repeat=True))
    actor = await chat.person()
    address = await stored(transactions, chat.storage, actor, b"words", "notes.md", FileKind.MARKDOWN)
    locked = await stored(transactions, chat.storage, actor, b"refuse file_encrypted", "locked.pdf", FileKind.PDF)
    lost = await stored(transactions, chat.storage, actor, b"gone", "gone.txt")
    chat.storage.contents.popitem()
    await ask(chat, actor, "Read", address)
    await ask(chat, actor, "Read again", address)
    for _ in range(2):
        with pytest.raises(InvalidValue):
            await ask(chat, actor, "Read", locked)
    with pytest.raises(NotFound):
        await ask(chat, actor, "Read", lost)
    outcomes = dict(chat.attachments.read.statistics.outcomes)
    assert outcomes["md", "read", "no"] == 1
    assert outcomes["md", "read", "yes"] >= 1
    assert (outcomes["pdf", "file_encrypted", "no"], outcomes["pdf", "file_encrypted", "yes"]) == (1, 1)
    assert outcomes["txt", "file_not_found", "no"] == 1
