"""Runs whose model, tool, process or clock does what none should do: every one ends, and nobody closes what lives."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

import pytest

from adapters.database.transactions import DatabaseTransactions
from adapters.scripted import ScriptedChatModel, call, delta, finished, hold
from application.chat.chat import ChatRequest
from application.dialogs.dialogs import DeleteDialog
from application.ports.tool_runner import ToolOutput
from application.runs import live_runs
from application.runs.run_upkeep import SweepRuns
from application.tools.builtin_tools import Calculator
from chat_desk import ChatDesk, read, text_of
from domain.chat.chat_events import RunFailed, RunFinished, ToolProgress
from domain.conversation.conversation import ModelEvent, ModelRequest, TextDelta
from domain.dialogs.messages import Answer, AnswerStatus, StepStatus
from domain.errors import NotFound
from domain.ids import DialogId, RunId, UserId
from domain.runs.runs import RunStatus
from domain.tools.tools import JsonValue, ToolSpec
from meddled import Desk, Meddled, done_of, process, processes, settled, shown, soon, until


class Renouncing:
    """A model that cancels itself after a word, as a library does that lets its own cancellation escape."""

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        yield TextDelta("word")
        raise asyncio.CancelledError


class RenouncingTool:
    @property
    def spec(self) -> ToolSpec:
        return Calculator().spec

    async def run(self, arguments: Mapping[str, JsonValue]) -> ToolOutput:
        raise asyncio.CancelledError


@pytest.fixture
async def desks(transactions: DatabaseTransactions, database_url: str) -> AsyncIterator[Desk]:
    async with processes(database_url, transactions) as desk:
        yield desk


async def answers(desk: ChatDesk, actor: UserId, dialog: str = "d") -> list[Answer]:
    return [one for one in await desk.history(actor, dialog) if isinstance(one, Answer)]


async def test_a_model_that_cancels_itself_ends_the_run_as_failed(transactions: DatabaseTransactions) -> None:
    desk = process(transactions, model=cast(Any, Renouncing()))
    actor = await desk.person()
    async with soon():
        for _ in range(2):  # the dialog is free again
            seen = await desk.answer(actor)
            assert [type(one.event) for one in seen[1:]] == [RunFailed, RunFinished]
            assert (done_of(seen).status, done_of(seen).content) == (AnswerStatus.FAILED, "word")
    assert [one.status for one in await answers(desk, actor)] == [AnswerStatus.FAILED] * 2


async def test_a_tool_that_cancels_itself_has_failed_and_the_answer_goes_on(transactions: DatabaseTransactions) -> None:
    turns = [[call("calculator", expression="6*7"), finished()], [delta("I can't."), finished()]]
    desk = process(transactions, model=ScriptedChatModel(turns=turns))
    tool = RenouncingTool()
    answering = desk.start.answering
    toolbox = replace(answering.toolbox, builtin={tool.spec.tool_id: tool})
    desk.start = replace(desk.start, answering=replace(answering, toolbox=toolbox))
    actor = await desk.person()
    async with soon():
        seen = await desk.answer(actor)
    steps = [one.event.step.status for one in seen if isinstance(one.event, ToolProgress)]
    assert steps == [StepStatus.START, StepStatus.ERROR]
    assert (done_of(seen).status, done_of(seen).content) == (AnswerStatus.COMPLETE, "I can't.")


async def test_shutting_down_still_interrupts_models_and_tools(transactions: DatabaseTransactions) -> None:
    gate = hold()
    desk = process(transactions, delta("half"), gate)
    actor = await desk.person()
    run = await desk.ask(actor)
    await gate.reached.wait()
    async with soon():
        await desk.registry.drain(0)
    assert done_of(await read(run)).status is AnswerStatus.INTERRUPTED
    assert desk.model.active == 0


async def test_who_reads_a_run_that_was_closed_elsewhere_gets_its_end_when_the_log_is_gone_too(
    transactions: DatabaseTransactions,
) -> None:
    gate = hold()
    here, there = process(transactions, delta("kept "), gate, delta("lost"), finished()), process(transactions)
    actor = await here.person()
    run = await here.ask(actor)
    await gate.reached.wait()
    await here.writer.flush()
    reading = asyncio.create_task(read(run))
    there.clock.pass_time(60)
    assert await there.close_abandoned(there.clock.now()) == 1
    async with transactions.autocommit() as tx:
        assert await tx.runs.remove_logs(there.clock.now() + timedelta(hours=48), 10) == 1
    gate.release()
    async with soon():
        seen = await reading
    assert done_of(seen).status is AnswerStatus.INTERRUPTED
    assert done_of(seen).content == "kept "
    assert here.crashes == []


async def test_of_two_processes_that_slept_neither_closes_a_run_of_the_other(desks: Desk) -> None:
    gates = [hold(), hold()]
    pair = [desks(delta("a"), gate, delta("b"), finished()) for gate in gates]
    actor = await pair[0].person()
    for desk in pair:
        await desk.live_through(60)
    runs = [await desk.ask(actor, dialog=name) for desk, name in zip(pair, "xy", strict=True)]
    for desk, gate in zip(pair, gates, strict=True):
        await gate.reached.wait()
        desk.clock.pass_time(60)
    first, second = pair
    await first.sweep.once()  # before it looked at the clock
    await first.alive.once()
    await first.sweep.once()
    await second.alive.once()
    await second.sweep.once()
    for _ in range(5):
        for desk in pair:
            await desk.live_through(10)
            await desk.sweep.once()
    for run, gate in zip(runs, gates, strict=True):
        gate.release()
        assert (done_of(await read(run)).status, text_of(await read(run))) == (AnswerStatus.COMPLETE, "ab")


async def test_a_stop_in_a_time_of_distrust_leaves_the_run_to_its_own_process(
    transactions: DatabaseTransactions,
) -> None:
    gate = hold()
    here, there = process(transactions, delta("half"), gate), process(transactions)
    actor = await here.person()
    run = await here.ask(actor)
    await gate.reached.wait()
    for desk in (here, there):
        desk.clock.pass_time(60)
    await there.alive.once()
    there.stop = replace(there.stop, patience=0.3)
    stopped = await there.stop(actor, run_id=run.state.run_id, dialog_id=None)
    assert (stopped.is_open, stopped.stop_requested) == (True, True)
    await here.writer.flush()
    async with soon():
        await run.wait()
    assert (done_of(await read(run)).status, text_of(await read(run))) == (AnswerStatus.STOPPED, "half")
    assert shown(await there.resumed(actor, run.state.run_id)) == shown(await read(run))


async def test_a_run_that_takes_long_to_be_prepared_keeps_its_lease(transactions: DatabaseTransactions) -> None:
    database, reached, gate = Meddled(transactions), asyncio.Event(), asyncio.Event()
    here, there = process(database, delta("x"), finished()), process(transactions)
    actor = await here.person()
    await here.answer(actor)

    async def slow(real: Any, *given: Any, **named: Any) -> object:
        reached.set()
        await gate.wait()
        return await real(*given, **named)

    database.instead["messages.past"] = slow
    asking = asyncio.create_task(here.ask(actor))
    async with soon():
        await reached.wait()
    for _ in range(6):
        await here.live_through(10)
        await there.live_through(10)
        await there.sweep.once()
        assert await there.close_abandoned(there.clock.now()) == 0
    gate.set()
    assert done_of(await read(await asking)).status is AnswerStatus.COMPLETE
    await settled(here)
    assert here.registry.renewable() == {}


async def test_the_log_may_go_between_following_and_reading(transactions: DatabaseTransactions) -> None:
    here, there = process(transactions, delta("one "), delta("two"), finished()), process(transactions)
    actor = await here.person()
    run_id = (await here.answer(actor))[-1].event.run_id  # type: ignore[union-attr]
    followed, after = await there.follow(actor, run_id, None)
    async with transactions.autocommit() as tx:
        assert await tx.runs.remove_logs(here.clock.now() + timedelta(hours=48), 10) == 1
    async with soon():
        seen = await read(followed, after)
    assert (done_of(seen).status, done_of(seen).content) == (AnswerStatus.COMPLETE, "one two")


@pytest.mark.parametrize("is_open", [True, False])
async def test_a_dialog_that_is_deleted_between_following_and_reading_has_stopped(
    transactions: DatabaseTransactions, is_open: bool
) -> None:
    here = process(transactions, delta("one "), *[hold()][:is_open], finished())
    there = process(transactions)
    actor = await here.person()
    run = await here.ask(actor)
    await (until(lambda: run.log.last_seq) if is_open else run.wait())
    followed, after = await there.follow(actor, run.state.run_id, None)
    await DeleteDialog(transactions, there.registry, there.close_abandoned)(actor, DialogId("d"))
    async with soon():
        assert done_of(await read(followed, after)).status is AnswerStatus.STOPPED
    run.end(AnswerStatus.STOPPED)
    await run.wait()


async def test_deleting_a_dialog_elsewhere_stops_a_model_that_says_nothing(postgres_url: str) -> None:
    transactions = DatabaseTransactions.open(postgres_url)
    async with processes(postgres_url, transactions) as desk:
        gate = hold()
        here, there = desk(gate), desk()
        actor = await here.person()
        run = await here.ask(actor)
        await gate.reached.wait()
        await asyncio.sleep(0.2)  # both listen
        async with soon(1):
            await DeleteDialog(transactions, there.registry, there.close_abandoned)(actor, DialogId("d"))
            await until(lambda: not here.model.active)
            assert done_of(await read(run)).status is AnswerStatus.STOPPED
    await transactions.aclose()


async def test_a_run_that_nobody_ever_read_ends_after_the_time_to_begin_reading(
    transactions: DatabaseTransactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_runs, "FIRST_READER_SECONDS", 0.05)
    gates = [hold(), hold()]
    desk = process(transactions, model=ScriptedChatModel(turns=[[delta("x"), gate] for gate in gates]))
    actor = await desk.person()
    unread = await desk.start(actor, ChatRequest("hi", "unread"))
    one_read = await desk.start(actor, ChatRequest("hi", "read"))
    reader = one_read.attach(0, 60)
    async with soon():
        await unread.wait()
    await asyncio.sleep(0.1)
    assert (await desk.show(actor, unread.state.run_id)).status is RunStatus.INTERRUPTED
    assert not one_read.finished
    one_read.detach(reader)
    async with soon():
        await one_read.wait()


async def test_a_run_that_is_being_closed_is_not_the_one_of_its_dialog(transactions: DatabaseTransactions) -> None:
    database = Meddled(transactions)
    desk = process(database, delta("x"), finished())
    actor = await desk.person()
    run = await desk.ask(actor)
    database.away = True
    await until(lambda: run.closing)
    assert desk.registry.in_dialog(DialogId("d"), owner=actor) is None
    database.away = False
    await settled(desk)
    with pytest.raises(NotFound):
        await desk.stop(actor, run_id=None, dialog_id="d")


async def test_the_log_of_a_run_with_a_key_is_kept_as_long_as_the_key(transactions: DatabaseTransactions) -> None:
    desk, other = process(transactions, delta("x"), finished()), process(transactions)
    actor = await desk.person()
    asked, plain = ChatRequest("hi", "d", background=True), ChatRequest("hi", "e", background=True)
    seen = await read(await desk.once(actor, asked, "key"))
    unkeyed = (await read(await desk.once(actor, plain, None)))[-1].event
    assert isinstance(unkeyed, RunFinished)
    other.sweep = SweepRuns(
        other.registry, transactions, other.leases, other.close_abandoned, timedelta(hours=1), other.troubles.append
    )
    await swept_after(other, 2 * 3600)
    assert shown(await read(await other.once(actor, asked, "key"))) == shown(seen)
    with pytest.raises(NotFound) as refused:
        await other.resumed(actor, unkeyed.run_id)
    assert refused.value.kind == "run_log"
    await swept_after(other, 23 * 3600)
    with pytest.raises(NotFound) as refused:
        await other.show(actor, RunId(done_of(seen).run_id))
    assert refused.value.kind == "run"
    assert len(await other.history(actor)) == 2


async def swept_after(desk: ChatDesk, seconds: float) -> None:
    desk.clock.pass_time(seconds)
    await desk.alive.once()
    await desk.sweep.once()
