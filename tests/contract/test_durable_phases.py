"""Runs of several processes at moments that are hard to meet from outside: while a tool works, when a follower leaves.

Two desks on one database are two processes: neither knows what the other holds in memory.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any, cast

import pytest

from adapters.database.runs.signals import LocalSignals, PostgresSignals
from adapters.database.transactions import DatabaseTransactions
from adapters.scripted import ScriptedChatModel, Step, call, delta, finished, hold
from application.chat.chat import ChatRequest
from application.ports.run_signals import RunSignals
from application.ports.tool_runner import ToolOutput
from application.runs import stored_tails
from application.runs.run_readers import LARGEST_BATCH, Follower
from application.runs.run_registry import RunRegistry
from application.tools.builtin_tools import Calculator
from chat_desk import ChatDesk, read, text_of
from domain.chat.chat_events import Recorded, RunFinished, ToolProgress
from domain.dialogs.messages import Answer, AnswerStatus, StepStatus
from domain.ids import RunId, UserId
from domain.runs.runs import RunStatus, event_id
from domain.tools.tools import JsonValue, ToolSpec
from entrypoints.http.event_stream import EventStream

Desk = Callable[..., ChatDesk]


class SlowTool:
    """Works until it is cancelled."""

    def __init__(self) -> None:
        self.working = asyncio.Event()
        self.cancelled = asyncio.Event()

    @property
    def spec(self) -> ToolSpec:
        return Calculator().spec

    async def run(self, arguments: Mapping[str, JsonValue]) -> ToolOutput:
        self.working.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled.set()
        return ToolOutput("never")


@pytest.fixture
async def desks(transactions: DatabaseTransactions, database_url: str) -> AsyncIterator[Desk]:
    """Makes processes with all that goes on beside their requests."""
    going_on: list[asyncio.Task[None]] = []

    def desk(*steps: Step, grace: float = 0) -> ChatDesk:
        signals: RunSignals = LocalSignals()
        if database_url.startswith("postgresql"):
            signals = PostgresSignals(database_url)
        model = ScriptedChatModel(steps, repeat=True)
        made = ChatDesk(transactions, model, RunRegistry(100, 20), signals=signals, grace=grace)
        going_on.extend(asyncio.create_task(work) for work in (signals.listen(), made.writer.forever()))
        return made

    yield desk
    for task in going_on:
        task.cancel()
    await asyncio.wait(going_on)


@pytest.fixture
async def slow(desks: Desk) -> tuple[ChatDesk, SlowTool]:
    """A process whose tool does not come back, asked for by its model."""
    here, tool = desks(delta("Let me see. "), call("calculator", expression="6*7")), SlowTool()
    toolbox = replace(here.start.answering.toolbox, builtin={tool.spec.tool_id: tool})
    here.start = replace(here.start, answering=replace(here.start.answering, toolbox=toolbox))
    return here, tool


@asynccontextmanager
async def soon(seconds: float = 20) -> AsyncIterator[None]:
    async with asyncio.timeout(seconds):
        yield


def done_of(seen: list[Recorded]) -> RunFinished:
    dones = [one.event for one in seen if isinstance(one.event, RunFinished)]
    assert len(dones) == 1
    assert seen[-1].event is dones[0]
    return dones[0]


def shown(seen: list[Recorded]) -> list[tuple[int, int, object]]:
    return [(one.seq, one.at, one.event) for one in seen]


async def the_answer(desk: ChatDesk, actor: UserId) -> Answer:
    answer = (await desk.history(actor))[-1]
    assert isinstance(answer, Answer)
    return answer


async def test_a_stop_elsewhere_ends_the_tool_that_works(
    desks: Desk, slow: tuple[ChatDesk, SlowTool], database_url: str
) -> None:
    (here, tool), there = slow, desks()
    actor = await here.person()
    run = await here.ask(actor)
    async with soon():
        await tool.working.wait()
        await asyncio.sleep(0.1)
        stopping = asyncio.create_task(there.stop(actor, run_id=run.state.run_id, dialog_id=None))
        if database_url.startswith("sqlite"):
            # Without word of it, the flag in the database is seen when the lease is renewed.
            while not run.finished:
                await asyncio.sleep(0.01)
                await here.alive.once()
        assert (await stopping).status is RunStatus.STOPPED
        assert tool.cancelled.is_set()
        seen = await read(run)
    assert (done_of(seen).status, done_of(seen).content) == (AnswerStatus.STOPPED, "Let me see. ")
    steps = [one.event.step.status for one in seen if isinstance(one.event, ToolProgress)]
    assert steps[0] is StepStatus.START
    assert shown(await there.resumed(actor, run.state.run_id)) == shown(seen)
    assert (await the_answer(there, actor)).status is AnswerStatus.STOPPED


async def test_a_reader_that_leaves_without_grace_ends_the_tool_that_works(
    desks: Desk, slow: tuple[ChatDesk, SlowTool]
) -> None:
    (here, tool), there = slow, desks()
    actor = await here.person()
    run = await here.start(actor, ChatRequest("hi", "d"))
    reader = run.attach(0, 60)
    async with soon():
        await tool.working.wait()
        run.detach(reader)
        await tool.cancelled.wait()
        seen = await there.resumed(actor, run.state.run_id)
    assert (done_of(seen).status, text_of(seen)) == (AnswerStatus.INTERRUPTED, "Let me see. ")


async def followed_until(desk: ChatDesk, actor: UserId, run_id: RunId) -> datetime | None:
    async with desk.transactions.autocommit() as tx:
        return (await tx.runs.get(run_id, owner=actor)).followed_until


async def test_a_run_goes_on_while_it_is_followed_elsewhere_and_ends_when_that_stops(
    desks: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Its word lasts three times as long: a process that is slow to renew it loses nothing.
    monkeypatch.setattr(stored_tails, "FOLLOW_SECONDS", 0.6)
    here, there = desks(delta("one "), hold(), grace=0.2), desks()
    actor = await here.person()
    run = await here.start(actor, ChatRequest("hi", "d"))
    reader = run.attach(0, 60)
    while run.log.last_seq < 1:
        await asyncio.sleep(0.005)
    following = asyncio.create_task(there.resumed(actor, run.state.run_id))
    async with soon():
        while not await followed_until(here, actor, run.state.run_id):
            await asyncio.sleep(0.005)
    run.detach(reader)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(2.4):
            await run.wait()
    following.cancel()
    async with soon():
        await run.wait()
        seen = await there.resumed(actor, run.state.run_id)
    assert (done_of(seen).status, text_of(seen)) == (AnswerStatus.INTERRUPTED, "one ")


async def test_a_process_that_starts_gives_the_others_a_lease_to_renew_theirs(desks: Desk) -> None:
    """The database may have been away until a moment ago."""
    gate = hold()
    here, fresh = desks(delta("one "), gate, delta("two"), finished()), desks()
    actor = await here.person()
    run = await here.ask(actor)
    await gate.reached.wait()
    for desk in (here, fresh):
        desk.clock.pass_time(60)
    await fresh.alive.once()
    await fresh.sweep.once()
    await here.alive.once()
    assert await fresh.close_abandoned(fresh.clock.now()) == 0
    gate.release()
    assert done_of(await read(run)).status is AnswerStatus.COMPLETE


class Client:
    """Takes `appetite` messages of a response, then nothing more."""

    def __init__(self, appetite: int) -> None:
        self.appetite = appetite
        self.taken: list[Any] = []

    async def receive(self) -> Any:
        return await asyncio.Event().wait()

    async def send(self, message: Any) -> None:
        if len(self.taken) >= self.appetite:
            await asyncio.Event().wait()
        self.taken.append(message)


async def test_who_takes_nothing_of_a_stored_run_is_let_go_and_may_come_back(desks: Desk) -> None:
    here, there = desks(*[delta(f"word{number} ") for number in range(1000)], finished()), desks()
    actor = await here.person()
    run = await here.ask(actor)
    whole = await read(run)
    run_id = run.state.run_id
    client, scope = Client(appetite=3), cast(Any, {})
    followed, after = await there.follow(actor, run_id, None)
    stream = EventStream(followed, after=after, heartbeat=60, patience=0.05)
    async with soon():
        await stream(scope, client.receive, client.send)
    body = b"".join(message.get("body", b"") for message in client.taken)
    had = body.count(b"\n\n")
    assert 0 < had < 1000
    rest = await there.resumed(actor, run_id, event_id(run_id, had))
    assert shown(rest) == shown(whole)[had:]
    assert not there.stored._readers


async def batches(follower: Follower) -> list[int]:
    """The characters of each."""
    return [len(text_of(batch)) async for batch in follower.batches()]


async def test_a_reader_far_behind_holds_little_of_large_events_too(desks: Desk) -> None:
    here, there = desks(*[delta("x" * 20_000) for _ in range(50)], finished()), desks()
    actor = await here.person()
    run = await here.ask(actor)
    await run.wait()
    followed, _ = await there.follow(actor, run.state.run_id, None)
    for one in (run, followed):
        sizes = await batches(one.attach(0, 60))
        assert sum(sizes) == 1_000_000
        assert max(sizes) <= LARGEST_BATCH
