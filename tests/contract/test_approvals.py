"""Calls that wait for a person: the run leaves its process, and goes on at whichever process hears the word.

Two desks on one database are two processes: neither knows what the other holds in memory.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from adapters.database.transactions import DatabaseTransactions
from adapters.scripted import Hold, call, delta, finished, hold
from application.chat.chat import ChatRequest
from application.dialogs.dialogs import DeleteDialog
from application.ports.tool_runner import ToolFailed, ToolOutput
from application.tools.asking_depth import asking_depth
from chat_desk import read, text_of
from domain.chat.chat_events import Recorded, RunFinished, ToolProgress
from domain.conversation.conversation import ToolTurn
from domain.dialogs.messages import Answer, AnswerStatus, StepStatus
from domain.errors import Conflict, InvalidValue, NotFound, TooManyRequests
from domain.ids import DialogId, RunId, new_id
from domain.runs.pauses import DECLINED, MOST_WAITING, WAITS_FOR
from domain.runs.runs import RunStatus
from domain.tools.call_limits import SAME_FAILURES
from domain.tools.tools import JsonValue
from meddled import Meddled
from paying import ASKS, DONE, LOOK, SPEND, Scene, Till, asked, call_of, ended, no, paying, soon, steps, yes


@pytest.fixture
async def scene(transactions: DatabaseTransactions) -> AsyncIterator[Scene]:
    async with paying(transactions) as made:
        yield made


async def test_an_approved_call_is_made_and_the_answer_goes_on_before_the_same_reader(scene: Scene) -> None:
    desk = scene.process(ASKS, DONE)
    actor, agent_id = await scene.person()
    run = await desk.start(actor, ChatRequest("Pay the bill", "d", agent_id))
    reading = asyncio.create_task(read(run))
    await run.wait(10)
    assert scene.till.asked == []
    assert (await desk.approve(actor, run.state.run_id, yes())).status is RunStatus.RUNNING
    async with soon():
        seen = await reading
    assert text_of(seen) == "Let me pay. Paid."
    assert steps(seen) == [(StepStatus.APPROVAL, "c1"), (StepStatus.START, "c1"), (StepStatus.END, "c1")]
    assert [one.seq for one in seen] == list(range(1, len(seen) + 1))
    assert scene.till.asked == [{"amount": 5}]
    assert await ended(desk, actor, run.state.run_id) == seen


async def test_a_reader_that_stayed_hears_at_once_what_is_stored(scene: Scene) -> None:
    desk = scene.process(ASKS, DONE, look_seconds=3600)
    if scene.transactions.database.dialect == "postgresql":
        return  # its own word between processes has tests of its own
    actor, agent_id = await scene.person()
    run = await desk.start(actor, ChatRequest("Pay the bill", "d", agent_id))
    reading = asyncio.create_task(read(run))
    await run.wait(10)
    await asyncio.sleep(0.1)
    await desk.approve(actor, run.state.run_id, yes())
    async with soon():
        assert text_of(await reading) == "Let me pay. Paid."


async def test_the_answer_is_kept_as_one(scene: Scene) -> None:
    desk = scene.process(ASKS, DONE)
    actor, agent_id = await scene.person()
    run = await asked(desk, actor, agent_id)
    await desk.approve(actor, run.state.run_id, yes())
    (*_, last) = await ended(desk, actor, run.state.run_id)
    _, answer = await desk.history(actor)
    assert isinstance(answer, Answer)
    assert isinstance(last.event, RunFinished)
    assert (answer.status, answer.content) == (AnswerStatus.COMPLETE, "Let me pay. Paid.")
    assert [result.content for one in answer.rounds for result in one.results] == ["spent 5"]
    assert answer.usage == last.event.usage
    assert (await desk.show(actor, run.state.run_id)).status is RunStatus.COMPLETE


async def test_a_declined_call_is_not_made_and_the_model_is_told(scene: Scene) -> None:
    desk = scene.process(ASKS, DONE)
    actor, agent_id = await scene.person()
    run = await asked(desk, actor, agent_id)
    await desk.approve(actor, run.state.run_id, no())
    seen = await ended(desk, actor, run.state.run_id)
    assert scene.till.asked == []
    assert steps(seen) == [(StepStatus.APPROVAL, "c1"), (StepStatus.ERROR, "c1")]
    told = desk.model.requests[-1].turns[-1]
    assert isinstance(told, ToolTurn)
    assert [(one.content, one.is_error) for one in told.results] == [(DECLINED, True)]


async def test_the_person_may_change_the_arguments(scene: Scene) -> None:
    desk = scene.process(ASKS, DONE)
    actor, agent_id = await scene.person()
    run = await asked(desk, actor, agent_id)
    with pytest.raises(InvalidValue, match="amount is required"):
        await desk.approve(actor, run.state.run_id, yes(sum=3))
    await desk.approve(actor, run.state.run_id, yes(amount=3))
    await ended(desk, actor, run.state.run_id)
    assert scene.till.asked == [{"amount": 3}]
    _, answer = await desk.history(actor)
    assert isinstance(answer, Answer)
    assert [json.loads(one.arguments) for a_round in answer.rounds for one in a_round.calls] == [{"amount": 3}]


async def test_the_other_calls_of_the_turn_are_made_at_once_and_every_waiting_one_needs_its_word(scene: Scene) -> None:
    calls = [call("spend", call_id="a", amount=1), call("look", call_id="b"), call("spend", call_id="c", amount=2)]
    desk = scene.process([*calls, finished()], DONE)
    actor, agent_id = await scene.person()
    run = await asked(desk, actor, agent_id)
    assert (scene.look.asked, scene.till.asked) == ([{}], [])
    assert (await desk.approve(actor, run.state.run_id, no("c"))).status is RunStatus.WAITING
    assert (await desk.approve(actor, run.state.run_id, no("c"))).status is RunStatus.WAITING
    with pytest.raises(Conflict) as refused:
        await desk.approve(actor, run.state.run_id, yes("c"))
    assert refused.value.code == "tool_call_decided"
    await desk.approve(actor, run.state.run_id, yes("a"))
    await ended(desk, actor, run.state.run_id)
    assert scene.till.asked == [{"amount": 1}]
    told = desk.model.requests[-1].turns[-1]
    assert isinstance(told, ToolTurn)
    assert [one.content for one in told.results] == ["spent 1", "spent None", DECLINED]


async def test_a_call_that_can_not_be_made_asks_nobody(scene: Scene) -> None:
    desk = scene.process([call("spend", call_id="c1"), finished()], DONE)
    actor, agent_id = await scene.person()
    run = await desk.start(actor, ChatRequest("Pay", "d", agent_id))
    assert steps(await read(run)) == [(StepStatus.START, "c1"), (StepStatus.ERROR, "c1")]


async def test_nobody_is_asked_again_about_a_call_that_failed_too_often(scene: Scene) -> None:
    class Broke(Till):
        async def run(self, arguments: Mapping[str, JsonValue]) -> ToolOutput:
            await super().run(arguments)
            raise ToolFailed("there is no money")

    scene.till = Broke(SPEND)
    desk = scene.process(ASKS, ASKS, ASKS, DONE)
    actor, agent_id = await scene.person()
    run = await desk.start(actor, ChatRequest("Pay", "d", agent_id))
    await run.wait(10)
    for turn in range(SAME_FAILURES):
        while (await desk.show(actor, run.state.run_id)).status is not RunStatus.WAITING:
            await asyncio.sleep(0.01)
        await desk.approve(actor, run.state.run_id, yes(call_of(turn)))
    seen = await ended(desk, actor, run.state.run_id)
    assert [status for status, _ in steps(seen)].count(StepStatus.APPROVAL) == SAME_FAILURES == len(scene.till.asked)
    assert text_of(seen).endswith("Paid.")


async def test_a_run_may_wait_again_and_again(scene: Scene) -> None:
    desk = scene.process(ASKS, ASKS, DONE)
    actor, agent_id = await scene.person()
    run = await asked(desk, actor, agent_id)
    reading = asyncio.create_task(read(run))
    for turn in range(2):
        while (await desk.show(actor, run.state.run_id)).status is not RunStatus.WAITING:
            await asyncio.sleep(0.01)
        await desk.approve(actor, run.state.run_id, yes(call_of(turn)))
    async with soon():
        seen = await reading
    assert text_of(seen) == "Let me pay. Let me pay. Paid."
    assert [one.seq for one in seen] == list(range(1, len(seen) + 1))


async def test_it_goes_on_at_another_process_when_its_own_is_gone(scene: Scene) -> None:
    first = scene.process(ASKS)
    actor, agent_id = await scene.person()
    run = await asked(first, actor, agent_id)
    second = scene.process(DONE)
    await second.approve(actor, run.state.run_id, yes())
    seen = await ended(second, actor, run.state.run_id)
    assert text_of(seen) == "Let me pay. Paid."
    assert [one.seq for one in seen] == list(range(1, len(seen) + 1))
    assert second.model.requests[0].turns[: len(first.model.requests[0].turns)] == first.model.requests[0].turns


async def test_whoever_reads_at_the_first_process_hears_what_the_second_makes(scene: Scene) -> None:
    first = scene.process(ASKS)
    actor, agent_id = await scene.person()
    run = await first.start(actor, ChatRequest("Pay the bill", "d", agent_id))
    reading = asyncio.create_task(read(run))
    await run.wait(10)
    second = scene.process(DONE)
    await second.approve(actor, run.state.run_id, yes())
    async with soon():
        assert text_of(await reading) == "Let me pay. Paid."


async def test_of_several_who_approve_at_once_one_lets_it_go_on(scene: Scene) -> None:
    first = scene.process(ASKS, DONE)
    actor, agent_id = await scene.person()
    run = await asked(first, actor, agent_id)
    processes = [first, *(scene.process(DONE) for _ in range(3))]
    said = await asyncio.gather(
        *(desk.approve(actor, run.state.run_id, yes()) for desk in processes), return_exceptions=True
    )
    refusals = [one for one in said if isinstance(one, BaseException)]
    assert [one.code for one in refusals if isinstance(one, Conflict)] == ["approval_not_awaited"] * 3
    assert text_of(await ended(first, actor, run.state.run_id)) == "Let me pay. Paid."
    assert len(scene.till.asked) == 1


async def test_a_waiting_run_is_stopped_at_any_process(scene: Scene) -> None:
    first = scene.process(ASKS, ASKS)
    actor, agent_id = await scene.person()
    second = scene.process(DONE)
    for desk, dialog in ((first, "one"), (second, "two")):
        run = await asked(first, actor, agent_id, dialog)
        async with soon():
            stopped = await desk.stop(actor, run_id=run.state.run_id, dialog_id=None)
        assert stopped.status is RunStatus.STOPPED
        with pytest.raises(Conflict) as refused:
            await second.approve(actor, run.state.run_id, yes())
        assert refused.value.code == "approval_not_awaited"
        _, answer = await first.history(actor, dialog)
        assert isinstance(answer, Answer)
        assert (answer.status, answer.content) == (AnswerStatus.STOPPED, "Let me pay. ")


async def test_nobody_else_says_the_word(scene: Scene) -> None:
    desk = scene.process(ASKS, DONE)
    actor, agent_id = await scene.person()
    run = await asked(desk, actor, agent_id)
    stranger, _ = await scene.person()
    for one, run_id in ((stranger, run.state.run_id), (actor, RunId(new_id()))):
        with pytest.raises(NotFound) as unknown:
            await desk.approve(one, run_id, yes())
        assert unknown.value.code == "run_not_found"
    with pytest.raises(NotFound) as no_call:
        await desk.approve(actor, run.state.run_id, yes("c2"))
    assert no_call.value.code == "tool_call_not_found"
    assert (await desk.show(actor, run.state.run_id)).status is RunStatus.WAITING


async def test_a_run_that_does_not_wait_needs_no_word(scene: Scene) -> None:
    desk = scene.process(DONE)
    actor, agent_id = await scene.person()
    run = await desk.start(actor, ChatRequest("Hi", "d", agent_id))
    await read(run)
    with pytest.raises(Conflict) as refused:
        await desk.approve(actor, run.state.run_id, yes())
    assert refused.value.code == "approval_not_awaited"


async def test_a_waiting_run_keeps_its_dialog_and_no_place(scene: Scene) -> None:
    desk = scene.process(ASKS, DONE, most=1)
    actor, agent_id = await scene.person()
    run = await asked(desk, actor, agent_id)
    with pytest.raises(Conflict) as busy:
        await desk.start(actor, ChatRequest("And now?", "d", agent_id))
    assert busy.value.code == "dialog_busy"
    await read(await desk.start(actor, ChatRequest("Hi", "other", agent_id)))
    assert (await desk.show(actor, run.state.run_id)).status is RunStatus.WAITING


async def test_so_many_answers_of_one_user_wait_and_no_more(scene: Scene) -> None:
    desk = scene.process(*[ASKS] * MOST_WAITING, DONE)
    actor, agent_id = await scene.person()
    runs = [await asked(desk, actor, agent_id, f"d{number}") for number in range(MOST_WAITING)]
    with pytest.raises(Conflict) as refused:
        await desk.start(actor, ChatRequest("And this?", "one more", agent_id))
    assert refused.value.code == "too_many_waiting"
    await desk.stop(actor, run_id=runs[0].state.run_id, dialog_id=None)
    await read(await desk.start(actor, ChatRequest("And this?", "one more", agent_id)))


async def test_a_call_that_reaches_something_else_by_now_is_not_made(scene: Scene) -> None:
    desk = scene.process(ASKS, DONE)
    actor, agent_id = await scene.person()
    run = await asked(desk, actor, agent_id)
    scene.till.spec = replace(SPEND, origin="DELETE https://elsewhere.example.org/everything")
    await desk.approve(actor, run.state.run_id, yes())
    assert steps(await ended(desk, actor, run.state.run_id))[-1] == (StepStatus.ERROR, "c1")
    assert scene.till.asked == []


async def test_to_wait_again_by_mistake_does_not_stop_what_went_on(scene: Scene) -> None:
    """The word that it waits was lost, the person was quicker, and its process asks again."""
    desk = scene.process(ASKS, [hold(), *DONE])
    actor, agent_id = await scene.person()
    run = await asked(desk, actor, agent_id)
    async with scene.transactions.begin() as tx:
        _, pause = await tx.pauses.held(run.state.run_id, owner=actor)
    await desk.approve(actor, run.state.run_id, yes())
    async with scene.transactions.autocommit() as tx:
        assert await tx.pauses.put(run.state.run_id, await tx.pauses.written(pause), desk.leases.now() + WAITS_FOR)
    assert (await desk.show(actor, run.state.run_id)).status is RunStatus.RUNNING
    await desk.stop(actor, run_id=run.state.run_id, dialog_id=None)


async def test_how_deep_agents_ask_agents_is_kept(scene: Scene) -> None:
    depths: list[int] = []

    @dataclass
    class Deep(Till):
        async def run(self, arguments: Mapping[str, JsonValue]) -> ToolOutput:
            depths.append(asking_depth.get())
            return await super().run(arguments)

    scene.till = Deep(SPEND)
    desk = scene.process(ASKS, DONE)
    actor, agent_id = await scene.person()
    token = asking_depth.set(2)
    run = await asked(desk, actor, agent_id)
    asking_depth.reset(token)
    await desk.approve(actor, run.state.run_id, yes())
    await ended(desk, actor, run.state.run_id)
    assert depths == [2]


async def test_a_model_that_is_declined_again_and_again_goes_on(scene: Scene) -> None:
    desk = scene.process(ASKS, ASKS, ASKS, DONE)
    actor, agent_id = await scene.person()
    run = await desk.start(actor, ChatRequest("Pay", "d", agent_id))
    await run.wait(10)
    for turn in range(3):
        while (await desk.show(actor, run.state.run_id)).status is not RunStatus.WAITING:
            await asyncio.sleep(0.01)
        await desk.approve(actor, run.state.run_id, no(call_of(turn)))
    assert text_of(await ended(desk, actor, run.state.run_id)).endswith("Paid.")


async def test_without_a_place_nothing_is_decided(scene: Scene) -> None:
    first = scene.process(ASKS)
    actor, agent_id = await scene.person()
    run = await asked(first, actor, agent_id)
    full = scene.process(most=0)
    with pytest.raises(TooManyRequests):
        await full.approve(actor, run.state.run_id, yes())
    second = scene.process(DONE)
    await second.approve(actor, run.state.run_id, yes())
    assert text_of(await ended(second, actor, run.state.run_id)) == "Let me pay. Paid."


async def test_it_waits_for_days_and_no_longer(scene: Scene) -> None:
    desk = scene.process(ASKS)
    actor, agent_id = await scene.person()
    run = await asked(desk, actor, agent_id)
    now = desk.leases.now()
    assert await desk.close_abandoned(now + WAITS_FOR - timedelta(minutes=1)) == 0
    assert await desk.close_abandoned(now + WAITS_FOR + timedelta(minutes=1)) == 1
    assert (await desk.show(actor, run.state.run_id)).status is RunStatus.INTERRUPTED


async def test_a_dialog_that_waits_can_be_deleted(scene: Scene) -> None:
    desk = scene.process(ASKS)
    actor, agent_id = await scene.person()
    run = await desk.start(actor, ChatRequest("Pay", "d", agent_id))
    reading = asyncio.create_task(read(run))
    await run.wait(10)
    await DeleteDialog(scene.transactions, desk.registry, desk.close_abandoned)(actor, DialogId("d"))
    with pytest.raises(NotFound):
        await desk.approve(actor, run.state.run_id, yes())
    async with soon():
        last = (await reading)[-1].event
    assert isinstance(last, RunFinished)


async def test_who_stops_while_it_comes_to_wait_stops_it(scene: Scene) -> None:
    desk = scene.process(*[ASKS] * 12)
    actor, agent_id = await scene.person()
    for pause in range(12):
        run = await desk.start(actor, ChatRequest("Pay", f"d{pause}", agent_id))
        for _ in range(pause):
            await asyncio.sleep(0)
        async with soon():
            stopped = await desk.stop(actor, run_id=run.state.run_id, dialog_id=None)
        assert stopped.status is RunStatus.STOPPED
        assert (await desk.show(actor, run.state.run_id)).status is RunStatus.STOPPED


async def test_the_limit_of_output_goes_on_to_hold(scene: Scene) -> None:
    desk = scene.process(ASKS, [delta("word " * 400), finished()])
    actor, agent_id = await scene.person()
    run = await desk.start(actor, ChatRequest("Pay", "d", agent_id, max_output_tokens=60))
    await run.wait(10)
    await desk.approve(actor, run.state.run_id, yes())
    await ended(desk, actor, run.state.run_id)
    left = desk.model.requests[-1].output_left
    assert left is not None
    assert left < 60


async def test_nobody_is_asked_before_the_word_can_be_heard(scene: Scene) -> None:
    database = Meddled(scene.transactions)
    shown: list[Sequence[Recorded]] = []

    async def slowly(put: Callable[..., Awaitable[object]], *given: object) -> object:
        for _ in range(20):
            await asyncio.sleep(0)
        shown.append(tuple(run.log.events))
        return await put(*given)

    database.instead["pauses.put"] = slowly
    desk = scene.process(ASKS, DONE, database=database)
    actor, agent_id = await scene.person()
    run = await desk.start(actor, ChatRequest("Pay the bill", "d", agent_id))
    await run.wait(10)
    assert [steps(seen) for seen in shown] == [[]]
    assert steps(run.log.events) == [(StepStatus.APPROVAL, "c1")]
    await desk.approve(actor, run.state.run_id, yes())
    seen = await ended(desk, actor, run.state.run_id)
    assert [one.seq for one in seen] == list(range(1, len(seen) + 1))
    assert steps(seen) == [(StepStatus.APPROVAL, "c1"), (StepStatus.START, "c1"), (StepStatus.END, "c1")]


async def test_a_process_that_begins_alone_closes_all_runs_but_those_that_wait(scene: Scene) -> None:
    hold = Hold()
    desk = scene.process(*[ASKS] * 3, [delta("Ha"), hold, finished()])
    actor, agent_id = await scene.person()
    waiting = [await asked(desk, actor, agent_id, f"d{number}") for number in range(3)]
    left = await desk.start(actor, ChatRequest("Hi", "left"))
    await hold.reached.wait()
    other = scene.process(DONE)
    async with soon():
        await other.close_abandoned.all_unless_waiting()
    assert (await other.stored.find(left.state.run_id, owner=actor)).status is RunStatus.INTERRUPTED
    for run in waiting:
        assert (await other.show(actor, run.state.run_id)).status is RunStatus.WAITING
    await other.approve(actor, waiting[0].state.run_id, yes())
    assert text_of(await ended(other, actor, waiting[0].state.run_id)) == "Let me pay. Paid."


async def test_the_person_sees_all_of_what_they_are_asked_about(scene: Scene) -> None:
    long = call("spend", call_id="c1", amount=5, note="x" * 400_000 + "and everything else")
    desk = scene.process([long, finished()], DONE)
    actor, agent_id = await scene.person()
    run = await asked(desk, actor, agent_id)
    [shown] = [one.event.step for one in run.log.events if isinstance(one.event, ToolProgress)]
    assert shown.arguments == long.arguments
    await desk.approve(actor, run.state.run_id, yes())
    seen = await ended(desk, actor, run.state.run_id)
    assert [one.event for one in seen[: len(run.log.events)]] == [one.event for one in run.log.events]
    assert len(scene.till.asked) == 1


async def test_an_approved_call_is_never_made_with_another_tool_that_has_its_name_now(scene: Scene) -> None:
    first = scene.process(ASKS)
    actor, agent_id = await scene.person()
    run = await asked(first, actor, agent_id)
    another = Till(replace(SPEND, tool_id=LOOK.tool_id))
    second = scene.process(DONE, tills=[another])
    await second.approve(actor, run.state.run_id, yes())
    seen = await ended(second, actor, run.state.run_id)
    assert (another.asked, scene.till.asked) == ([], [])
    assert steps(seen)[-1] == (StepStatus.ERROR, "c1")
    assert text_of(seen) == "Let me pay. Paid."
