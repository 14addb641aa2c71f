"""How often a model is asked at once, and how much it may write: a limit refuses or ends, and takes nothing else."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest

from adapters.database.transactions import DatabaseTransactions
from adapters.scripted import ScriptedChatModel, ScriptedChatModels, delta, finished, hold
from application.asking.model_places import QUEUE_FACTOR
from application.chat.chat import ChatRequest
from application.models.models import ModelCatalogue
from application.runs.live_runs import LiveRun
from chat_desk import ChatDesk, read, text_of
from domain.conversation.conversation import (
    FinishReason,
    ModelEvent,
    ModelFinished,
    ModelRequest,
    TextDelta,
    ToolCallDelta,
    Usage,
    request_tokens,
)
from domain.dialogs.messages import AnswerStatus
from domain.errors import Conflict, TooManyRequests
from domain.ids import AgentId, ModelId, UserId
from domain.models.models import ModelSpec, Provider
from meddled import Meddled, done_of, process, settled, soon, until
from model_asking import asked_models
from stored import agent

NARROW = ModelSpec(ModelId("scripted"), Provider.OFFLINE, "scripted", max_concurrent=1)
MOST = 1 + QUEUE_FACTOR
HALF = (MOST + 1) // 2


def places_of(desk: ChatDesk) -> dict[UserId, int]:
    [line] = desk.places.lines.values()
    return dict(line.runs)


async def burst(desk: ChatDesk, actors: list[UserId], each: int) -> tuple[list[LiveRun], list[str]]:
    """What was taken on, and the codes of the refusals."""
    asked = [desk.ask(actor, dialog=f"d{number}") for actor in actors for number in range(each)]
    async with soon(20):
        tried = await asyncio.gather(*asked, return_exceptions=True)
    taken = [one for one in tried if isinstance(one, LiveRun)]
    return taken, [one.code for one in tried if isinstance(one, TooManyRequests)]


async def test_of_a_burst_a_narrow_model_takes_on_its_place_and_its_line_and_others_are_not_held_up(
    transactions: DatabaseTransactions,
) -> None:
    gate = hold()
    desk = process(transactions, gate, delta("x"), finished(), spec=NARROW)
    wide = ModelSpec(ModelId("wide"), Provider.OFFLINE, "wide")
    other = ScriptedChatModel([delta("at once"), finished()], repeat=True)
    desk.start = replace(
        desk.start,
        find_model=replace(desk.start.find_model, catalogue=ModelCatalogue.of([NARROW, wide], NARROW.llm_id)),
        answering=replace(
            desk.start.answering, models=asked_models(ScriptedChatModels(desk.model, wide=other), desk.places)
        ),
    )
    actors = [await desk.person() for _ in range(8)]
    taken, refused = await burst(desk, actors, 10)
    assert (len(taken), refused) == (MOST, ["model_busy"] * (80 - MOST))
    assert max(places_of(desk).values()) <= HALF
    quick = agent(actors[0], llm_id=ModelId("wide"))
    async with transactions.begin() as tx:
        await tx.agents.add(quick)
    async with soon():
        asked = ChatRequest("hi", "aside", agent_id=AgentId(quick.agent_id), background=True)
        assert text_of(await read(await desk.start(actors[0], asked))) == "at once"
        gate.release()
        for run in taken:
            assert text_of(await read(run)) == "x"
    assert places_of(desk) == {}


async def test_one_user_holds_at_most_half_of_a_narrow_model(transactions: DatabaseTransactions) -> None:
    gate = hold()
    desk = process(transactions, gate, finished(), spec=NARROW)
    actor, other = await desk.person(), await desk.person()
    taken, refused = await burst(desk, [actor], 10)
    assert (len(taken), refused) == (HALF, ["model_busy"] * (10 - HALF))
    more, _ = await burst(desk, [other], 10)
    assert len(more) == MOST - HALF
    gate.release()
    for run in [*taken, *more]:
        await run.wait()


async def test_a_place_at_a_model_is_given_back_however_a_run_ends_or_does_not_begin(
    transactions: DatabaseTransactions,
) -> None:
    database, gate = Meddled(transactions), hold()
    desk = process(database, gate, delta("x"), finished(), spec=NARROW)
    actor = await desk.person()

    async def defective(_real: Any, *_given: Any, **_named: Any) -> object:
        raise ZeroDivisionError("as wanted")

    first = await desk.ask(actor)
    assert places_of(desk) == {actor: 1}
    with pytest.raises(Conflict):
        await desk.ask(actor)
    assert places_of(desk) == {actor: 1}
    waiting = await desk.ask(actor, dialog="e")
    await gate.reached.wait()
    stopped = await desk.stop(actor, run_id=waiting.state.run_id, dialog_id=None)
    assert not stopped.is_open
    assert places_of(desk) == {actor: 1}
    at_once = await desk.ask(actor, dialog="e")
    at_once.end(AnswerStatus.STOPPED)
    await at_once.wait()
    assert places_of(desk) == {actor: 1}
    database.instead["messages.past"] = defective
    with pytest.raises(ZeroDivisionError):
        await desk.ask(actor, dialog="e")
    assert places_of(desk) == {actor: 1}
    gate.release()
    await first.wait()
    assert places_of(desk) == {}
    await settled(desk)


@dataclass
class Wordy:
    """Writes 80, 80 and 10 tokens, calling a tool after the first two, and never more than it may.

    `called` is the reason that it gives for the end of a turn with a call.
    """

    wants: tuple[int, ...] = (80, 80, 10)
    called: FinishReason = FinishReason.TOOL_CALLS
    requests: list[ModelRequest] = field(default_factory=list)

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        number = len(self.requests) % len(self.wants)
        self.requests.append(request)
        want, may = self.wants[number], request.max_output_tokens
        writes = want if may is None else min(want, may)
        yield TextDelta("abc " * writes)
        if number < len(self.wants) - 1 and writes == want:
            yield ToolCallDelta(0, f"c{number}", "calculator", '{"expression": "6*7"}')
            yield ModelFinished(self.called, Usage(5, writes))
        else:
            yield ModelFinished(FinishReason.STOP if writes == want else FinishReason.LENGTH, Usage(5, writes))


def wordy(transactions: DatabaseTransactions, **spec: Any) -> tuple[ChatDesk, Wordy]:
    model = Wordy()
    return process(transactions, model=cast(Any, model), spec=replace(NARROW, max_concurrent=None, **spec)), model


async def asked(desk: ChatDesk, actor: UserId, dialog: str, limit: int | None) -> tuple[str, FinishReason | None]:
    run = await desk.start(actor, ChatRequest("hi", dialog, background=True, max_output_tokens=limit))
    done = done_of(await read(run))
    assert done.status is AnswerStatus.COMPLETE
    return done.content, done.finish_reason


async def test_a_generous_output_limit_shortens_no_answer(transactions: DatabaseTransactions) -> None:
    desk, model = wordy(transactions, max_output_tokens=100)
    actor = await desk.person()
    free = await asked(desk, actor, "free", None)
    assert (len(free[0]), free[1]) == (4 * 170, FinishReason.STOP)
    assert await asked(desk, actor, "generous", 100_000) == free
    assert [one.max_output_tokens for one in model.requests] == [100] * 6


async def test_a_turn_that_ends_at_the_models_own_limit_is_not_the_end_of_a_generous_one(
    transactions: DatabaseTransactions,
) -> None:
    desk, model = wordy(transactions, max_output_tokens=100)
    model.wants, model.called = (100, 10), FinishReason.LENGTH
    actor = await desk.person()
    free = await asked(desk, actor, "free", None)
    assert len(free[0]) == 4 * 110
    assert await asked(desk, actor, "generous", 100_000) == free


async def test_a_small_output_limit_ends_the_answer_for_its_length(transactions: DatabaseTransactions) -> None:
    desk, model = wordy(transactions, max_output_tokens=100)
    text, reason = await asked(desk, await desk.person(), "d", 120)
    assert (len(text), reason) == (4 * 120, FinishReason.LENGTH)
    assert [one.max_output_tokens for one in model.requests] == [100, 40]


async def test_a_model_without_a_limit_is_asked_for_no_more_than_its_window_leaves(
    transactions: DatabaseTransactions,
) -> None:
    desk, model = wordy(transactions, context_window=2000)
    actor = await desk.person()
    free = await asked(desk, actor, "free", None)
    del model.requests[:]
    assert await asked(desk, actor, "generous", 100_000) == free
    assert len(model.requests) == 3
    for request in model.requests:
        assert request.max_output_tokens is not None
        assert 0 < request.max_output_tokens <= 2000 - request_tokens(request)
    await until(lambda: not desk.registry.live())
