"""Answers that wait for a person while their model is taken away: another one goes on, or they say what to do."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from adapters.database.transactions import DatabaseTransactions
from adapters.scripted import ScriptedChatModel, ScriptedChatModels, fail
from application.models.models import FindModel, ModelCatalogue
from chat_desk import SEALS, ChatDesk
from domain.chat.chat_events import RunFinished
from domain.conversation.conversation import AssistantTurn, ReasoningBlock
from domain.errors import Conflict
from domain.ids import ModelId
from domain.models.models import ModelSpec, Provider
from domain.runs.runs import RunStatus
from model_asking import asked_models
from paying import ASKS, DONE, asked, ended, no, paying, yes


def spec(name: str, *fallbacks: str, **more: object) -> ModelSpec:
    ids = tuple(map(ModelId, fallbacks))
    return replace(ModelSpec(ModelId(name), Provider.OFFLINE, name, fallbacks=ids), **more)  # type: ignore[arg-type]


def knowing(desk: ChatDesk, specs: Sequence[ModelSpec], **models: ScriptedChatModel) -> ChatDesk:
    """A process whose configuration has these models; the last one is the default."""
    find = FindModel(desk.transactions, ModelCatalogue.of(specs, specs[-1].llm_id), SEALS)
    answering = replace(
        desk.start.answering, models=asked_models(ScriptedChatModels(None, **models), desk.places, find)
    )
    desk.start = replace(desk.start, find_model=find, answering=answering)
    desk.approve = replace(desk.approve, find_model=find, answering=answering)
    return desk


@pytest.mark.parametrize(
    ("there", "goes_on"),
    [
        ([spec("second"), spec("other")], "second"),
        ([spec("third"), spec("other")], "third"),
        ([spec("other")], "other"),
        ([spec("second", tools=False), spec("other")], "other"),
        ([spec("second", context_window=10), spec("other")], "other"),
        ([spec("second", unavailable_reason="No key."), spec("other")], "other"),
    ],
)
async def test_who_would_have_taken_over_goes_on_where_the_model_is_gone_else_the_default_one(
    transactions: DatabaseTransactions, there: list[ModelSpec], goes_on: str
) -> None:
    async with paying(transactions) as scene:
        first = spec("first", "second", "third")
        here = knowing(scene.process(ASKS), [first], first=ScriptedChatModel(turns=[ASKS]))
        actor, agent_id = await scene.person()
        run = await asked(here, actor, agent_id)
        model = ScriptedChatModel(turns=[DONE])
        elsewhere = knowing(scene.process(DONE), there, **{goes_on: model})
        await elsewhere.approve(actor, run.state.run_id, yes())
        (*_, last) = await ended(elsewhere, actor, run.state.run_id)
        assert isinstance(last.event, RunFinished)
        assert (last.event.model, last.event.content) == (goes_on, "Let me pay. Paid.")
        assert [request.model for request in model.requests] == [goes_on]
        assert len(scene.till.asked) == 1


async def test_who_goes_on_gives_way_to_those_that_are_left(transactions: DatabaseTransactions) -> None:
    async with paying(transactions) as scene:
        first = spec("first", "second", "third")
        here = knowing(scene.process(ASKS), [first], first=ScriptedChatModel(turns=[ASKS]))
        actor, agent_id = await scene.person()
        run = await asked(here, actor, agent_id)
        second = ScriptedChatModel([fail("model_auth_failed")], repeat=True)
        there = [spec("second", "fourth"), spec("third"), spec("fourth")]
        models = {"second": second, "third": second, "fourth": ScriptedChatModel(turns=[DONE])}
        elsewhere = knowing(scene.process(DONE), there, **models)
        await elsewhere.approve(actor, run.state.run_id, yes())
        (*_, last) = await ended(elsewhere, actor, run.state.run_id)
        assert isinstance(last.event, RunFinished)
        assert (last.event.model, last.event.content) == ("fourth", "Let me pay. Paid.")
        assert [request.model for request in second.requests] == ["second", "third"]


async def test_what_one_vendor_signed_is_not_shown_to_the_model_that_goes_on(
    transactions: DatabaseTransactions,
) -> None:
    async with paying(transactions) as scene:
        here = knowing(scene.process(ASKS), [spec("first")], first=ScriptedChatModel(turns=[ASKS]))
        actor, agent_id = await scene.person()
        run = await asked(here, actor, agent_id)
        async with transactions.begin() as tx:
            _, pause = await tx.pauses.find(run.state.run_id, owner=actor)
            signed = replace(pause.loop.turn, reasoning=(ReasoningBlock("I must pay.", "signature"),))
            await tx.pauses.save(run.state.run_id, replace(pause, loop=replace(pause.loop, turn=signed), stored=b""))
        model = ScriptedChatModel(turns=[DONE])
        elsewhere = knowing(scene.process(DONE), [spec("other")], other=model)
        await elsewhere.approve(actor, run.state.run_id, yes())
        await ended(elsewhere, actor, run.state.run_id)
        [request] = model.requests
        [turn] = [one for one in request.turns if isinstance(one, AssistantTurn)]
        assert (turn.reasoning, [call.name for call in turn.tool_calls]) == ((), ["spend"])


@pytest.mark.parametrize("word", [yes(), no()])
async def test_where_no_model_can_go_on_nothing_is_decided_and_the_answer_can_be_stopped(
    transactions: DatabaseTransactions, word: object
) -> None:
    async with paying(transactions) as scene:
        here = knowing(scene.process(ASKS), [spec("first")], first=ScriptedChatModel(turns=[ASKS, ASKS]))
        actor, agent_id = await scene.person()
        run = await asked(here, actor, agent_id)
        run_id = run.state.run_id
        elsewhere = knowing(scene.process(DONE), [spec("other", tools=False)])
        for _ in range(2):
            with pytest.raises(Conflict, match="stop it, and ask again") as refusal:
                await elsewhere.approve(actor, run_id, word)  # type: ignore[arg-type]
            assert refusal.value.code == "approval_outdated"
            assert (await elsewhere.show(actor, run_id)).status is RunStatus.WAITING
        assert scene.till.asked == []
        await elsewhere.stop(actor, run_id=run_id, dialog_id=None)
        assert (await elsewhere.show(actor, run_id)).status is RunStatus.STOPPED
        await asked(here, actor, agent_id)
