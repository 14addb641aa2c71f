"""Runs that wait, as the database has them: what comes of words that are late, repeated, lost, or never heard."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

import pytest

from adapters.database.transactions import DatabaseTransactions
from adapters.scripted import call, finished
from application.chat.chat import ChatRequest
from chat_desk import text_of
from domain.dialogs.messages import Answer, AnswerStatus, StepStatus
from domain.errors import Conflict, NotFound, Unavailable
from domain.runs.pauses import WAITS_FOR
from domain.runs.runs import RunStatus
from meddled import Meddled
from paying import ASKS, DONE, Scene, asked, ended, paying, soon, steps, yes


@pytest.fixture
async def scene(transactions: DatabaseTransactions) -> AsyncIterator[Scene]:
    async with paying(transactions) as made:
        yield made


@pytest.mark.parametrize("later", [timedelta(hours=5), WAITS_FOR - timedelta(minutes=1)], ids=str)
async def test_hours_and_days_later_the_word_is_heard_at_a_process_that_began_since(
    scene: Scene, later: timedelta
) -> None:
    first = scene.process(ASKS)
    actor, agent_id = await scene.person()
    run = await asked(first, actor, agent_id)
    second = scene.process(DONE)
    second.clock.pass_time(later.total_seconds())
    second.leases.saw(second.clock.now())
    assert await second.close_abandoned(second.clock.now()) == 0
    await second.approve(actor, run.state.run_id, yes())
    seen = await ended(second, actor, run.state.run_id)
    assert text_of(seen) == "Let me pay. Paid."
    assert scene.till.asked == [{"amount": 5}]


async def test_a_word_that_was_given_outlives_a_second_storing_of_the_wait(scene: Scene) -> None:
    """The database's word that the run waits was lost, a person was quicker, and its process stores it again."""
    twice = [call("spend", call_id="a", amount=1), call("spend", call_id="b", amount=2), finished()]
    desk = scene.process(twice, DONE)
    actor, agent_id = await scene.person()
    run = await asked(desk, actor, agent_id)
    async with scene.transactions.autocommit() as tx:
        _, before = await tx.pauses.find(run.state.run_id, owner=actor)
    await desk.approve(actor, run.state.run_id, yes("a"))
    async with scene.transactions.autocommit() as tx:
        assert await tx.pauses.put(run.state.run_id, await tx.pauses.written(before), desk.leases.now() + WAITS_FOR)
        _, after = await tx.pauses.find(run.state.run_id, owner=actor)
    assert after.approvals == (yes("a"),)
    await desk.approve(actor, run.state.run_id, yes("b"))
    await ended(desk, actor, run.state.run_id)
    assert [one["amount"] for one in scene.till.asked] == [1, 2]


async def test_who_is_asked_at_another_process_is_heard_at_once(scene: Scene) -> None:
    """The question stands in the log no sooner than the run waits, whoever looks at whatever moment."""
    database = Meddled(scene.transactions)
    desk = scene.process(ASKS, DONE, database=database)
    other = scene.process(DONE)
    actor, agent_id = await scene.person()
    seen: list[tuple[bool, RunStatus]] = []

    async def look(method: Callable[..., Awaitable[object]], *given: object) -> object:
        async with scene.transactions.autocommit() as tx:
            log = await tx.runs.log(run.state.run_id, 0, 100)
            seen.append(((StepStatus.APPROVAL, "c1") in steps(log), (await other.show(actor, run.state.run_id)).status))
        return await method(*given)

    database.instead["runs.append"] = database.instead["pauses.put"] = look
    run = await desk.start(actor, ChatRequest("Pay the bill", "d", agent_id))
    await run.wait(10)
    assert seen
    assert all(status is RunStatus.WAITING for was_asked, status in seen if was_asked)
    await other.approve(actor, run.state.run_id, yes())
    await ended(other, actor, run.state.run_id)
    assert len(scene.till.asked) == 1


async def test_who_dies_while_stopping_a_waiting_run_leaves_its_end_to_any_other_process(scene: Scene) -> None:
    desk = scene.process(ASKS, DONE)
    actor, agent_id = await scene.person()
    run = await asked(desk, actor, agent_id)
    async with scene.transactions.autocommit() as tx:
        await tx.runs.request_stop(run.state.run_id)
    other = scene.process(DONE)
    with pytest.raises(Conflict) as refused:
        await other.approve(actor, run.state.run_id, yes())
    assert refused.value.code == "approval_not_awaited"
    async with soon():
        assert await other.close_abandoned(other.leases.now()) == 1
    assert (await other.show(actor, run.state.run_id)).status is RunStatus.STOPPED
    _, answer = await other.history(actor, "d")
    assert isinstance(answer, Answer)
    assert (answer.status, answer.content) == (AnswerStatus.STOPPED, "Let me pay. ")
    assert not scene.till.asked


async def test_a_run_that_was_not_asked_to_stop_goes_on_waiting(scene: Scene) -> None:
    desk = scene.process(ASKS, DONE)
    actor, agent_id = await scene.person()
    run = await asked(desk, actor, agent_id)
    assert await scene.process(DONE).close_abandoned(desk.leases.now()) == 0
    assert (await desk.show(actor, run.state.run_id)).status is RunStatus.WAITING


async def test_a_late_word_never_holds_for_a_call_that_nobody_saw(scene: Scene) -> None:
    """Some servers give no ids, or count anew in each turn. The same word, said twice, is one word."""
    first = [call("spend", call_id="call_0", amount=5), finished()]
    second = [call("spend", call_id="call_0", amount=1_000_000), finished()]
    desk = scene.process(first, second, DONE)
    actor, agent_id = await scene.person()
    run = await asked(desk, actor, agent_id)
    await desk.approve(actor, run.state.run_id, yes("call_0"))
    async with soon():
        while (await desk.show(actor, run.state.run_id)).status is not RunStatus.WAITING:
            await asyncio.sleep(0.01)
    with pytest.raises(NotFound) as unknown:
        await desk.approve(actor, run.state.run_id, yes("call_0"))
    assert unknown.value.code == "tool_call_not_found"
    assert [one["amount"] for one in scene.till.asked] == [5]
    await desk.stop(actor, run_id=run.state.run_id, dialog_id=None)


async def test_a_server_that_begins_to_shut_down_meanwhile_does_not_spend_the_word(scene: Scene) -> None:
    database = Meddled(scene.transactions)
    desk = scene.process(ASKS, DONE, database=database)
    other = scene.process(DONE)
    actor, agent_id = await scene.person()
    run = await asked(desk, actor, agent_id)

    async def drained(held: Callable[..., Awaitable[object]], *given: object, **named: object) -> object:
        desk.registry.draining = True
        return await held(*given, **named)

    database.instead["pauses.held"] = drained
    with pytest.raises(Unavailable) as refused:
        await desk.approve(actor, run.state.run_id, yes())
    assert refused.value.code == "shutting_down"
    await other.approve(actor, run.state.run_id, yes())
    await ended(other, actor, run.state.run_id)
    assert (await other.show(actor, run.state.run_id)).status is RunStatus.COMPLETE
    assert len(scene.till.asked) == 1
