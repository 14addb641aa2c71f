"""Runs while the database is away: what can't be begun is given up, what can't be stored is told and stored later."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from adapters.database.transactions import DatabaseTransactions
from adapters.scripted import delta, finished, hold
from application.chat.chat import ChatRequest
from application.runs import log_writer
from application.runs.run_control import StopRun
from chat_desk import ChatDesk, read, text_of
from domain.chat.chat_events import RunFailed, RunFinished
from domain.dialogs.messages import Answer, AnswerStatus
from domain.errors import Unavailable
from domain.ids import UserId
from domain.runs.runs import event_id
from meddled import Instead, Meddled, done_of, gone, process, settled, shown, soon, until, written

ASKED = ChatRequest("hi", "d", background=True)


async def last_answer(desk: ChatDesk, actor: UserId) -> Answer:
    answer = (await desk.history(actor))[-1]
    assert isinstance(answer, Answer)
    return answer


@pytest.fixture
def database(transactions: DatabaseTransactions) -> Meddled:
    return Meddled(transactions)


async def away(_real: Any, *_given: Any, **_named: Any) -> object:
    raise gone()


async def defective(_real: Any, *_given: Any, **_named: Any) -> object:
    raise ZeroDivisionError("as wanted")


async def stored_and_away(real: Any, *given: Any, **named: Any) -> object:
    await real(*given, **named)
    raise gone()


@pytest.mark.parametrize(
    ("where", "fails", "raised", "failure"),
    [
        ("messages.past", away, Unavailable, "database_unavailable"),
        ("messages.past", defective, ZeroDivisionError, "internal_error"),
        ("runs.open", stored_and_away, Unavailable, "database_unavailable"),
    ],
)
async def test_a_run_that_was_stored_and_could_not_be_begun_is_closed_and_its_key_is_free(
    database: Meddled, where: str, fails: Instead, raised: type[Exception], failure: str
) -> None:
    desk = process(database, delta("x"), finished())
    actor = await desk.person()
    await desk.answer(actor)
    for key in (None, "key"):
        asked_so_far = len(desk.model.requests)
        database.instead[where] = fails
        with pytest.raises(raised):
            async with soon(1):
                await desk.once(actor, ASKED, key)
        del database.instead[where]
        await settled(desk)
        answer = await last_answer(desk, actor)
        assert (answer.status, answer.failure) == (AnswerStatus.FAILED, failure)
        seen = await desk.resumed(actor, answer.run_id)
        assert [type(one.event) for one in seen] == [RunFailed, RunFinished]
        again = await desk.once(actor, ASKED, key)
        assert again.state.run_id != answer.run_id
        assert text_of(await read(again)) == "x"
        assert len(desk.model.requests) == asked_so_far + 1
        await settled(desk)
    assert desk.registry._taken == 0
    assert desk.registry.renewable() == {}


async def test_a_key_is_free_too_after_an_outage_that_outlasts_the_patience(database: Meddled) -> None:
    async def stored_and_long_away(real: Any, *given: Any, **named: Any) -> object:
        await real(*given, **named)
        database.away = True
        raise gone()

    desk = process(database, delta("x"), finished())
    start = replace(desk.start, keep=replace(desk.keep, patience=0.02))
    once = replace(desk.once, start=start)
    actor = await desk.person()
    database.instead["runs.open"] = stored_and_long_away
    with pytest.raises(Unavailable):
        await once(actor, ASKED, "key")
    await until(lambda: database.calls["runs.release_key"])
    database.instead.clear()
    database.away = False
    await settled(desk)
    assert (await last_answer(desk, actor)).status is AnswerStatus.FAILED
    assert text_of(await read(await once(actor, ASKED, "key"))) == "x"
    await settled(desk)


async def test_a_caller_who_is_cut_off_while_the_run_is_prepared_leaves_no_open_run(database: Meddled) -> None:
    reached = asyncio.Event()

    async def stuck(_real: Any, *_given: Any, **_named: Any) -> object:
        reached.set()
        return await asyncio.Event().wait()

    desk = process(database, delta("x"), finished())
    actor = await desk.person()
    await desk.answer(actor)
    database.instead["messages.past"] = stuck
    asking = asyncio.create_task(desk.ask(actor))
    async with soon():
        await reached.wait()
        asking.cancel()
        await asyncio.wait({asking})
    database.instead.clear()
    await settled(desk)
    assert (await last_answer(desk, actor)).status is AnswerStatus.FAILED
    assert text_of(await desk.answer(actor)) == "x"


async def test_the_end_that_was_told_when_the_patience_ran_out_is_the_one_that_is_stored(database: Meddled) -> None:
    gate = hold()
    here, there = process(database, delta("one "), gate, delta("two"), finished()), process(database.real)
    here.start = replace(here.start, make=replace(here.make, keep=replace(here.keep, patience=0.05)))
    actor = await here.person()
    run = await here.ask(actor)
    await gate.reached.wait()
    await here.writer.flush()
    database.away = True
    gate.release()
    async with soon():
        seen = await read(run)
    assert [type(one.event) for one in seen[-2:]] == [RunFailed, RunFinished]
    assert (done_of(seen).status, done_of(seen).content) == (AnswerStatus.FAILED, "one two")
    assert (await there.show(actor, run.state.run_id)).is_open
    database.away = False
    await settled(here)
    run_id = run.state.run_id
    async with soon():
        assert shown(await there.resumed(actor, run_id)) == shown(seen)
    assert await there.resumed(actor, run_id, event_id(run_id, seen[-1].seq)) == []
    answer = await last_answer(there, actor)
    assert (answer.status, answer.content, answer.failure) == (AnswerStatus.FAILED, "one two", "answer_not_stored")


async def test_a_stop_reaches_the_model_while_the_database_is_away(database: Meddled) -> None:
    gate = hold()
    desk = process(database, delta("half"), gate)
    actor = await desk.person()
    for by_dialog in (True, False):
        run = await desk.ask(actor)
        async with soon():
            await gate.reached.wait()
        database.away = True
        named = {"run_id": None, "dialog_id": "d"} if by_dialog else {"run_id": run.state.run_id, "dialog_id": None}
        with pytest.raises(Unavailable):
            await desk.stop(actor, **named)
        await until(lambda: not desk.model.active)
        database.away = False
        async with soon():
            assert (done_of(await read(run)).status, done_of(await read(run)).content) == (AnswerStatus.STOPPED, "half")
        gate.reached.clear()
        await settled(desk)


async def test_who_stops_a_run_whose_database_is_away_waits_no_longer_than_his_patience(database: Meddled) -> None:
    desk = process(database, delta("half"), hold())
    actor = await desk.person()
    run = await desk.ask(actor)
    await until(lambda: run.log.last_seq)
    database.instead["runs.close"] = away
    async with soon(1):
        state = await patient(desk.stop, 0.05)(actor, run_id=run.state.run_id, dialog_id=None)
    assert state.is_open
    database.instead.clear()
    await settled(desk)


def patient(stop: StopRun, seconds: float) -> StopRun:
    return replace(stop, patience=seconds)


async def test_of_one_outage_is_told_once(database: Meddled, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_writer, "RETRY_SECONDS", 0.005)
    gate, more = hold(), hold()
    desk = process(database, gate, delta("x"), more, delta("y"), finished())
    desk.start = replace(desk.start, keep=replace(desk.keep, first_pause=0.002))
    actor = await desk.person()
    writing = asyncio.create_task(replace(desk.writer, flush_seconds=0.005).forever())
    run = await desk.ask(actor)
    await gate.reached.wait()
    database.away = True
    gate.release()
    await until(lambda: database.calls["runs.append"] > 5)
    assert [type(one) for one in desk.troubles] == [Unavailable]
    database.away = False
    await written(desk, actor, run.state.run_id, 1)
    database.away = True
    more.release()
    await until(lambda: database.calls["runs.close"] > 4)
    # One who writes the log may have met the outage before its run ended.
    assert 2 <= len(desk.troubles) <= 3
    database.away = False
    async with soon():
        assert done_of(await read(run)).content == "xy"
    writing.cancel()
