"""Runs and their stored logs, as several processes see them: followed, stopped, repeated, and closed after a crash.

Two desks on one database are two processes: neither knows what the other holds in memory.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.database.runs.signals import LocalSignals, PostgresSignals
from adapters.database.transactions import DatabaseTransactions
from adapters.scripted import ScriptedChatModel, Step, call, delta, fail, finished, hold
from application.chat.chat import ChatRequest
from application.dialogs.dialogs import DeleteDialog
from application.ports.run_signals import RunSignals
from application.runs.run_registry import RunRegistry
from chat_desk import ChatDesk, read, text_of
from domain.chat.chat_events import Recorded, RunFinished
from domain.conversation.conversation import Usage
from domain.dialogs.messages import Answer, AnswerStatus
from domain.errors import Conflict, InvalidValue, NotFound, TooManyRequests
from domain.ids import DialogId, RunId, UserId
from domain.runs.runs import RunStatus, event_id

Desk = Callable[..., ChatDesk]


@pytest.fixture
async def desks(transactions: DatabaseTransactions, database_url: str) -> AsyncIterator[Desk]:
    """Makes processes with all that goes on beside their requests."""
    going_on: list[asyncio.Task[None]] = []

    def desk(*steps: Step, writes: bool = True, hears: bool = True, grace: float = 0) -> ChatDesk:
        signals: RunSignals = LocalSignals()
        if hears and database_url.startswith("postgresql"):
            signals = PostgresSignals(database_url)
        registry = RunRegistry(100, 20)
        made = ChatDesk(transactions, ScriptedChatModel(steps, repeat=True), registry, signals=signals, grace=grace)
        going_on.append(asyncio.create_task(signals.listen()))
        if writes:
            going_on.append(asyncio.create_task(made.writer.forever()))
        return made

    yield desk
    for task in going_on:
        task.cancel()
    await asyncio.wait(going_on)


@asynccontextmanager
async def soon(seconds: float = 20) -> AsyncIterator[None]:
    async with asyncio.timeout(seconds):
        yield


async def written(desk: ChatDesk, actor: UserId, run_id: RunId, seq: int) -> None:
    async with soon():
        while True:
            async with desk.transactions.autocommit() as tx:
                if (await tx.runs.get(run_id, owner=actor)).last_seq >= seq:
                    return
            await asyncio.sleep(0.01)


def shown(seen: list[Recorded]) -> list[tuple[int, int, object]]:
    return [(one.seq, one.at, one.event) for one in seen]


def done_of(seen: list[Recorded]) -> RunFinished:
    dones = [one.event for one in seen if isinstance(one.event, RunFinished)]
    assert len(dones) == 1
    assert isinstance(seen[-1].event, RunFinished)
    return dones[0]


async def test_what_another_process_follows_is_what_the_first_one_shows(desks: Desk) -> None:
    gate = hold()
    here, there = desks(delta("one "), delta("two "), gate, delta("three"), finished()), desks()
    actor = await here.person()
    run = await here.ask(actor)
    following = asyncio.create_task(there.resumed(actor, run.state.run_id))
    await gate.reached.wait()
    gate.release()
    mine = await read(run)
    async with soon():
        theirs = await following
    assert shown(theirs) == shown(mine)
    assert text_of(theirs) == done_of(theirs).content == "one two three"


@given(
    st.lists(st.text(st.characters(exclude_categories=("Cs",)), max_size=5), min_size=1, max_size=30),
    st.lists(st.integers(0, 40), max_size=5),
)
@settings(max_examples=30)
async def test_any_cut_during_and_after_here_and_there_gives_the_whole(
    transactions: DatabaseTransactions, words: list[str], cuts: list[int]
) -> None:
    here = ChatDesk(transactions, ScriptedChatModel([*map(delta, words), finished()]), RunRegistry(100, 20))
    there = ChatDesk(transactions, ScriptedChatModel())
    actor = await here.person()
    run = await here.ask(actor)
    seen: list[Recorded] = []
    for number, cut in enumerate(cuts):
        if number % 2 == 0:
            await asyncio.sleep(0)
            await here.writer.flush()
        followed, after = await here.follow(actor, run.state.run_id, event_id(run.state.run_id, len(seen)))
        more = min(cut, run.log.last_seq - len(seen))
        seen += (await read(followed, after, more))[:more] if more else []
    await run.wait()
    for cut in cuts:
        followed, after = await there.follow(actor, run.state.run_id, event_id(run.state.run_id, len(seen)))
        seen += (await read(followed, after, cut))[:cut] if cut else []
    if not seen or not isinstance(seen[-1].event, RunFinished):
        seen += await there.resumed(actor, run.state.run_id, event_id(run.state.run_id, len(seen)))
    assert shown(seen) == shown(await read(run))
    assert text_of(seen) == done_of(seen).content == "".join(words)
    assert await there.resumed(actor, run.state.run_id, event_id(run.state.run_id, len(seen))) == []


async def test_a_run_of_a_dead_process_ends_with_what_was_stored_and_the_dialog_is_free(desks: Desk) -> None:
    gate = hold()
    dead = desks(delta("stored "), gate, delta("lost"), finished())
    alive = desks(delta("fresh"), finished())
    actor = await dead.person()
    run = await dead.ask(actor)
    run_id = run.state.run_id
    await gate.reached.wait()
    await written(dead, actor, run_id, 1)
    following = asyncio.create_task(alive.resumed(actor, run_id))
    with pytest.raises(Conflict):
        await alive.ask(actor)
    alive.clock.pass_time(60)
    closed = await asyncio.gather(*(alive.close_abandoned(alive.clock.now()) for _ in range(4)))
    assert sum(closed) == 1
    async with soon():
        theirs = await following
    assert done_of(theirs).status is AnswerStatus.INTERRUPTED
    assert text_of(theirs) == done_of(theirs).content == "stored "
    assert text_of(await alive.answer(actor)) == "fresh"
    first, second = [one for one in await alive.history(actor) if isinstance(one, Answer)]
    assert (first.status, first.content, first.model) == (AnswerStatus.INTERRUPTED, "stored ", "scripted")
    assert (second.status, second.content) == (AnswerStatus.COMPLETE, "fresh")

    # It was not dead after all: whoever follows it there is told the same end, and it changes nothing.
    gate.release()
    await run.wait()
    mine = await read(run)
    assert shown(mine)[-1] == shown(theirs)[-1]
    assert [one for one in await alive.history(actor) if isinstance(one, Answer)] == [first, second]
    assert shown(await dead.resumed(actor, run_id)) == shown(theirs)


async def test_a_reader_that_saw_more_than_was_stored_gets_the_end_and_only_once(desks: Desk) -> None:
    gate = hold()
    dead = desks(delta("stored "), *[delta("lost ") for _ in range(5)], gate, writes=False)
    alive = desks()
    actor = await dead.person()
    run = await dead.ask(actor)
    run_id = run.state.run_id
    while run.log.last_seq < 1:
        await asyncio.sleep(0)
    async with dead.transactions.autocommit() as tx:
        piece = run.log.next_piece()
        assert piece is not None
        await tx.runs.append([piece])
    await gate.reached.wait()
    seen = await read(run, most=6)
    following = asyncio.create_task(alive.resumed(actor, run_id, event_id(run_id, 6)))
    alive.clock.pass_time(60)
    await alive.close_abandoned(alive.clock.now())
    async with soon():
        rest = await following
    assert [type(one.event) for one in rest] == [RunFinished]
    assert rest[0].seq > seen[-1].seq
    assert text_of(seen).startswith(done_of(rest).content)
    for has_the_end in (rest[0].seq,):
        assert await alive.resumed(actor, run_id, event_id(run_id, has_the_end)) == []
    with pytest.raises(InvalidValue):
        await alive.resumed(actor, run_id, event_id(run_id, rest[0].seq + 1))


async def test_tool_calls_and_usage_of_a_dead_process_are_in_its_answer(desks: Desk) -> None:
    gate = hold()
    dead, alive = desks(), desks()
    dead.model = ScriptedChatModel(
        turns=[
            [delta("Let me see. "), call("calculator", expression="6*7"), finished(usage=Usage(100, 10))],
            [delta("It is"), gate],
        ]
    )
    dead.__post_init__()
    actor = await dead.person()
    run = await dead.ask(actor)
    await gate.reached.wait()
    while not run.log.events or run.log.next_piece() is not None:
        await dead.writer.flush()
    alive.clock.pass_time(60)
    assert await alive.close_abandoned(alive.clock.now()) == 1
    answer = (await alive.history(actor))[-1]
    assert isinstance(answer, Answer)
    assert answer.content == "Let me see. It is"
    assert [step.tool_name for step in answer.steps] == ["calculator"] * 2
    assert [one.results[0].content for one in answer.rounds] == ["42"]
    assert answer.usage.input_tokens >= 100
    assert answer.usage.estimated


async def test_a_lease_that_is_renewed_is_nobody_elses(desks: Desk) -> None:
    gate = hold()
    here, there = desks(gate, delta("x"), finished()), desks()
    actor = await here.person()
    run = await here.ask(actor)
    await gate.reached.wait()
    for desk in (here, there):
        desk.clock.pass_time(60)
    await here.alive.once()
    assert await there.close_abandoned(there.clock.now()) == 0
    gate.release()
    assert done_of(await read(run)).status is AnswerStatus.COMPLETE


async def test_a_process_does_not_take_its_own_runs_for_abandoned(desks: Desk) -> None:
    gate = hold()
    desk = desks(gate, delta("x"), finished())
    actor = await desk.person()
    run = await desk.ask(actor)
    await gate.reached.wait()
    desk.clock.pass_time(60)
    assert await desk.close_abandoned(desk.clock.now(), but=desk.registry.renewable().keys()) == 0
    gate.release()
    assert done_of(await read(run)).status is AnswerStatus.COMPLETE


async def test_stop_reaches_the_run_at_another_process(desks: Desk, database_url: str) -> None:
    here, there = desks(delta("half"), hold()), desks()
    actor = await here.person()
    for by_dialog in (True, False):
        run = await here.ask(actor)
        while run.log.last_seq == 0:
            await asyncio.sleep(0.001)
        given_run, dialog = (None, "d") if by_dialog else (run.state.run_id, None)
        if database_url.startswith("sqlite"):
            # Without word of it, the flag in the database is seen when the lease is renewed.
            stopping = asyncio.create_task(there.stop(actor, run_id=given_run, dialog_id=dialog))
            await asyncio.sleep(0.1)
            await here.alive.once()
            state = await stopping
        else:
            async with soon():
                state = await there.stop(actor, run_id=given_run, dialog_id=dialog)
        assert state.status is RunStatus.STOPPED
        assert done_of(await read(run)).status is AnswerStatus.STOPPED
        assert done_of(await read(run)).content == "half"
    assert here.model.active == 0


async def test_stopping_what_ended_or_died_or_is_not_ones_own(desks: Desk) -> None:
    dead, alive = desks(hold(), hears=False, writes=False), desks()
    actor, other = await dead.person(), await dead.person()
    run = await dead.ask(actor)
    with pytest.raises(NotFound):
        await alive.stop(other, run_id=run.state.run_id, dialog_id=None)
    with pytest.raises(NotFound):
        await alive.stop(other, run_id=None, dialog_id="d")
    alive.stop = replace(alive.stop, patience=0.1)
    assert (await alive.stop(actor, run_id=run.state.run_id, dialog_id=None)).is_open
    await alive.live_through(60)
    assert (await alive.stop(actor, run_id=run.state.run_id, dialog_id=None)).status is RunStatus.STOPPED
    assert (await alive.stop(actor, run_id=run.state.run_id, dialog_id=None)).status is RunStatus.STOPPED
    assert (await alive.show(actor, run.state.run_id)).status is RunStatus.STOPPED
    with pytest.raises(NotFound):
        await alive.stop(actor, run_id=None, dialog_id="d")


async def test_whoever_follows_elsewhere_keeps_the_run_going(desks: Desk) -> None:
    gate = hold()
    here, there = desks(delta("one "), gate, delta("two"), finished()), desks()
    actor = await here.person()
    run = await here.start(actor, ChatRequest("hi", "d"))
    await gate.reached.wait()
    reader = run.attach(0, 60)
    await written(here, actor, run.state.run_id, 1)
    following = asyncio.create_task(there.resumed(actor, run.state.run_id))
    while True:
        async with there.transactions.autocommit() as tx:
            if (await tx.runs.get(run.state.run_id, owner=actor)).followed_until:
                break
        await asyncio.sleep(0.01)
    run.detach(reader)
    await asyncio.sleep(0.2)
    gate.release()
    async with soon():
        assert text_of(await following) == "one two"


async def test_a_dialog_deleted_at_another_process_stops_the_run_and_ends_its_readers(desks: Desk) -> None:
    gate = hold()
    here, there, third = desks(delta("one "), gate, delta("two "), hold()), desks(), desks()
    actor = await here.person()
    run = await here.ask(actor)
    await written(here, actor, run.state.run_id, 1)
    following = asyncio.create_task(third.resumed(actor, run.state.run_id))
    await asyncio.sleep(0.05)
    await DeleteDialog(there.transactions, there.registry, there.close_abandoned)(actor, DialogId("d"))
    gate.release()
    async with soon():
        assert done_of(await read(run)).status is AnswerStatus.STOPPED
        assert done_of(await following).status is AnswerStatus.STOPPED
    with pytest.raises(NotFound):
        await there.show(actor, run.state.run_id)
    assert here.model.active == 0


async def test_one_key_sent_twenty_times_at_once_to_two_processes_is_one_run(desks: Desk) -> None:
    steps = [delta("one "), delta("two"), finished()]
    here, there = desks(*steps), desks(*steps)
    here.registry.max_runs_per_user = there.registry.max_runs_per_user = 2
    actor = await here.person()

    async def ask(desk: ChatDesk) -> tuple[object, list[tuple[int, int, object]]]:
        run = await desk.once(actor, ChatRequest("hi", "d"), "the-key")
        return run.state.run_id, shown(await read(run))

    async with soon():
        answers = await asyncio.gather(*(ask((here, there)[number % 2]) for number in range(20)))
    assert len({key for key, _ in answers}) == 1
    assert all(seen == answers[0][1] for _, seen in answers)
    assert len(await here.history(actor)) == 2
    assert len(here.model.requests) + len(there.model.requests) == 1


async def test_a_key_is_one_users_one_question_and_one_days(desks: Desk) -> None:
    desk = desks(delta("x"), finished())
    actor, other = await desk.person(), await desk.person()
    first = await desk.once(actor, ChatRequest("hi", "d", background=True), "key")
    await read(first)
    for changed in (
        ChatRequest("hello", "d", background=True),
        ChatRequest("hi", "e", background=True),
        ChatRequest("hi", "d"),
        ChatRequest("hi", "d", background=True, max_output_tokens=5),
    ):
        with pytest.raises(InvalidValue) as refused:
            await desk.once(actor, changed, "key")
        assert refused.value.code == "idempotency_key_reused"
    assert (await desk.once(other, ChatRequest("hello", "d"), "key")).state.run_id != first.state.run_id
    assert (await desk.once(actor, ChatRequest("hi", "d", background=True), "key")).state.run_id == first.state.run_id
    desk.clock.pass_time(24 * 3600 + 1)
    again = await desk.once(actor, ChatRequest("hello", "d", background=True), "key")
    assert again.state.run_id != first.state.run_id
    await read(again)


async def test_a_key_that_started_nothing_is_free(desks: Desk) -> None:
    desk = desks(delta("x"), finished())
    actor = await desk.person()
    desk.registry.max_runs_per_user = 0
    with pytest.raises(TooManyRequests):
        await desk.once(actor, ChatRequest("hi", "d"), "key")
    desk.registry.max_runs_per_user = 1
    assert text_of(await read(await desk.once(actor, ChatRequest("other", "e"), "key"))) == "x"


async def test_a_user_has_so_many_answers_at_all_processes_together(desks: Desk) -> None:
    here, there = desks(hold()), desks(hold())
    here.registry.max_runs_per_user = there.registry.max_runs_per_user = 2
    actor = await here.person()
    runs = [await here.ask(actor, dialog="a"), await there.ask(actor, dialog="b")]
    for desk in (here, there):
        with pytest.raises(TooManyRequests) as refused:
            await desk.ask(actor, dialog="c")
        assert refused.value.code == "too_many_runs"
    for run in runs:
        run.end(AnswerStatus.STOPPED)
        await run.wait()


async def test_a_run_that_never_began_is_closed_too(desks: Desk, transactions: DatabaseTransactions) -> None:
    desk = desks(hold())
    actor = await desk.person()
    run = await desk.ask(actor)
    assert (await desk.show(actor, run.state.run_id)).status is RunStatus.QUEUED
    async with transactions.autocommit() as tx:
        assert (await tx.runs.get(run.state.run_id, owner=actor)).status is RunStatus.QUEUED
    other = desks()
    other.clock.pass_time(60)
    assert await other.close_abandoned(other.clock.now()) == 1
    assert (await other.show(actor, run.state.run_id)).status is RunStatus.INTERRUPTED
    run.end(AnswerStatus.STOPPED)
    await run.wait()


async def test_old_logs_are_removed_and_the_messages_stay(desks: Desk) -> None:
    desk, other = desks(delta("x"), finished()), desks()
    actor = await desk.person()
    run_id = (await desk.ask(actor)).state.run_id
    async with soon():
        while (await other.show(actor, run_id)).status is not RunStatus.COMPLETE:
            await asyncio.sleep(0.01)
    await other.sweep.once()
    assert text_of(await other.resumed(actor, run_id)) == "x"
    other.clock.pass_time(25 * 3600)
    await other.alive.once()
    await other.sweep.once()
    with pytest.raises(NotFound):
        await other.resumed(actor, run_id)
    assert [one.content for one in await other.history(actor)] == ["hi", "x"]


async def test_a_failed_answer_is_followed_as_it_was(desks: Desk) -> None:
    here, there = desks(delta("so far"), fail("model_stream_cut")), desks()
    actor = await here.person()
    run = await here.ask(actor)
    mine = await read(run)
    assert shown(await there.resumed(actor, run.state.run_id)) == shown(mine)
    assert done_of(mine).status is AnswerStatus.FAILED


async def test_too_many_readers_of_a_stored_run_are_refused(desks: Desk) -> None:
    here, there = desks(delta("x"), finished()), desks()
    actor = await here.person()
    run = await here.ask(actor)
    await run.wait()
    followed, _ = await there.follow(actor, run.state.run_id, None)
    readers = [followed.attach(0, 60) for _ in range(16)]
    with pytest.raises(TooManyRequests):
        followed.attach(0, 60)
    followed.detach(readers.pop())
    followed.attach(0, 60)
