"""Models that take over in a run: who is named as having answered, and who goes on after a person's word."""

from dataclasses import replace

import pytest

from adapters.database.transactions import DatabaseTransactions
from adapters.scripted import ScriptedChatModel, ScriptedChatModels, delta, fail, finished
from application.models.models import FindModel, ModelCatalogue
from chat_desk import SEALS, ChatDesk, read
from domain.chat.chat_events import RunFinished, ToolProgress
from domain.dialogs.messages import Answer, StepStatus
from domain.errors import ModelError, NotFound
from domain.ids import ModelId
from domain.models.attempts import ANSWERED
from domain.models.breakers import FAILURES
from domain.models.models import ModelSpec, Provider
from domain.tools.tools import ToolType
from model_asking import asked_models
from paying import ASKS, DONE, asked, ended, paying, yes
from spending import outcomes

SECOND = ModelSpec(ModelId("second"), Provider.OFFLINE, "second")
FIRST = ModelSpec(ModelId("first"), Provider.OFFLINE, "first", fallbacks=(SECOND.llm_id,))
REFUSED = fail("model_auth_failed")


def with_both(desk: ChatDesk, first: ScriptedChatModel, second: ScriptedChatModel, spec: ModelSpec = FIRST) -> ChatDesk:
    """`spec` is the default model of the process."""
    find = FindModel(desk.transactions, ModelCatalogue.of([spec, SECOND], spec.llm_id), SEALS)
    models = asked_models(ScriptedChatModels(None, first=first, second=second), desk.places, find)
    answering = replace(desk.start.answering, models=models)
    desk.start = replace(desk.start, find_model=find, answering=answering)
    desk.approve = replace(desk.approve, find_model=find, answering=answering)
    return desk


def refusing() -> ScriptedChatModel:
    return ScriptedChatModel([REFUSED], repeat=True)


async def test_the_answer_the_event_and_the_ledger_say_who_answered(transactions: DatabaseTransactions) -> None:
    second = ScriptedChatModel([delta("Hello"), finished()])
    desk = with_both(ChatDesk(transactions, second), refusing(), second)
    actor = await desk.person()
    seen = await read(await desk.ask(actor))
    told, done = seen[0].event, seen[-1].event
    assert isinstance(told, ToolProgress)
    assert (told.step.status, told.step.tool_type, told.step.tool_name) == (StepStatus.ERROR, ToolType.MODEL, "first")
    assert isinstance(done, RunFinished)
    assert (done.model, done.content) == ("second", "Hello")
    _, answer = await desk.history(actor)
    assert isinstance(answer, Answer)
    assert (answer.model, [step.tool_type for step in answer.steps]) == ("second", [ToolType.MODEL])
    assert await outcomes(transactions, actor) == ["model_auth_failed", ANSWERED]


async def test_who_took_over_goes_on_after_a_persons_word_at_any_process(transactions: DatabaseTransactions) -> None:
    async with paying(transactions) as scene:
        first, second = refusing(), ScriptedChatModel(turns=[ASKS])
        here = with_both(scene.process(ASKS), first, second)
        actor, agent_id = await scene.person()
        run = await asked(here, actor, agent_id)
        first_there, second_there = refusing(), ScriptedChatModel(turns=[DONE])
        there = with_both(scene.process(DONE), first_there, second_there)
        await there.approve(actor, run.state.run_id, yes())
        (*_, last) = await ended(there, actor, run.state.run_id)
        assert isinstance(last.event, RunFinished)
        assert (last.event.model, last.event.content) == ("second", "Let me pay. Paid.")
        assert (len(first.requests), len(first_there.requests)) == (1, 0)
        assert [request.model for request in (*second.requests, *second_there.requests)] == ["second"] * 2
        assert await outcomes(transactions, actor) == ["model_auth_failed", ANSWERED, ANSWERED]


async def test_a_model_that_is_left_alone_takes_no_question_and_nothing_is_stored(
    transactions: DatabaseTransactions,
) -> None:
    lonely = replace(FIRST, fallbacks=())
    desk = with_both(ChatDesk(transactions, refusing()), refusing(), refusing(), lonely)
    actor = await desk.person()
    for number in range(FAILURES):
        await read(await desk.ask(actor, dialog=f"d{number}"))
    with pytest.raises(ModelError, match="left alone") as refusal:
        await desk.ask(actor, dialog="late")
    assert refusal.value.code == "model_unavailable"
    assert refusal.value.retry_after is not None
    with pytest.raises(NotFound):
        await desk.history(actor, "late")
    assert len(await outcomes(transactions, actor)) == FAILURES
