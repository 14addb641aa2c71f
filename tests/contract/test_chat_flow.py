"""A chat from question to kept answer, on both databases: how often it asks them, and what always holds."""

import asyncio
import itertools
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from account_desk import SetClock
from adapters.database.transactions import DatabaseTransactions
from adapters.scripted import ScriptedChatModel, call, delta, fail, finished, hold
from application.chat.chat import ChatRequest
from application.dialogs.dialogs import DeleteDialog
from application.runs.leases import Leases
from application.runs.run_closing import CloseAbandoned
from application.runs.run_registry import RunRegistry
from application.runs.run_upkeep import KeepRunsAlive, SweepRuns
from chat_desk import ChatDesk, SharedSetClock, text_of
from domain.chat.chat_events import RunFailed, RunFinished
from domain.conversation.conversation import AssistantTurn, ToolTurn, Usage, UserTurn
from domain.dialogs.messages import Answer, AnswerStatus, Question
from domain.errors import Conflict, DomainError, InvalidValue, NotFound, TooLarge, TooManyRequests, Unauthenticated
from domain.ids import AgentId, DialogId, RunId, UserId, new_id
from domain.runs.runs import RunStatus


def talks(*words: str, repeat: bool = True) -> ScriptedChatModel:
    return ScriptedChatModel([*map(delta, words), finished()], repeat=repeat)


async def test_before_the_first_token_at_most_three_statements_and_one_after_the_last(
    transactions: DatabaseTransactions, statements: list[str]
) -> None:
    # Without a server a statement is no round trip: there are more of them, and as few transactions.
    before, after = (3, 1) if transactions.database.dialect == "postgresql" else (5, 5)
    gates = [hold() for _ in range(4)]
    desk = ChatDesk(transactions, ScriptedChatModel(turns=[[gate, delta("x"), finished()] for gate in gates]))
    actor = await desk.person()
    for gate in gates:
        statements.clear()
        run = await desk.ask(actor)
        await gate.reached.wait()
        assert len(statements) <= before, statements
        statements.clear()
        gate.release()
        await run.wait()
        assert 1 <= len(statements) <= after, statements


async def test_the_question_is_stored_before_the_model_is_asked(transactions: DatabaseTransactions) -> None:
    gate = hold()
    desk = ChatDesk(transactions, ScriptedChatModel([gate, delta("x")]))
    actor = await desk.person()
    run = await desk.ask(actor, "why?")
    await gate.reached.wait()
    question, answer = await desk.history(actor)
    assert isinstance(question, Question)
    assert question.content == "why?"
    assert isinstance(answer, Answer)
    assert answer.status is AnswerStatus.RUNNING
    gate.release()
    await run.wait()


async def test_what_was_said_before_goes_into_the_next_prompt_with_its_tool_calls(
    transactions: DatabaseTransactions,
) -> None:
    desk = ChatDesk(
        transactions,
        ScriptedChatModel(
            turns=[
                [delta("Let me see. "), call("calculator", expression="6*7"), finished()],
                [delta("It is 42."), finished()],
                [delta("As I said."), finished()],
            ]
        ),
    )
    actor = await desk.person()
    assert text_of(await desk.answer(actor, "6*7?")) == "Let me see. It is 42."
    await desk.answer(actor, "sure?")
    first, said, result, then, second = desk.model.requests[-1].turns
    assert (first, second) == (UserTurn("6*7?"), UserTurn("sure?"))
    assert isinstance(said, AssistantTurn)
    assert said.tool_calls[0].name == "calculator"
    assert isinstance(result, ToolTurn)
    assert "42" in result.results[0].content
    assert then == AssistantTurn("It is 42.")


async def test_the_dialog_is_made_on_first_use_and_named_after_the_question(
    transactions: DatabaseTransactions,
) -> None:
    desk = ChatDesk(transactions, talks("x"))
    actor, other = await desk.person(), await desk.person()
    await desk.answer(actor, "What is the sea?", "dialog-123")
    await desk.answer(other, "And mine?", "dialog-123")
    async with transactions.autocommit() as tx:
        assert (await tx.dialogs.get(DialogId("dialog-123"), owner=actor)).name == "What is the sea?"
        assert (await tx.dialogs.get(DialogId("dialog-123"), owner=other)).name == "And mine?"
    assert [type(one) for one in await desk.history(actor, "dialog-123")] == [Question, Answer]


async def test_of_many_first_questions_at_once_exactly_one_gets_the_dialog(transactions: DatabaseTransactions) -> None:
    gate = hold()
    desk = ChatDesk(transactions, ScriptedChatModel([gate, delta("x")], repeat=True))
    actor = await desk.person()
    tried = await asyncio.gather(*(desk.ask(actor) for _ in range(8)), return_exceptions=True)
    refused = [one for one in tried if isinstance(one, Conflict)]
    assert {one.code for one in refused} == {"dialog_busy"}
    assert len(refused) == 7
    gate.release()
    await asyncio.gather(*(run.wait() for run in desk.registry.live()))
    assert len(await desk.history(actor)) == 2


@pytest.mark.parametrize(
    ("asked", "refusal", "code"),
    [
        (ChatRequest("", "d"), InvalidValue, "invalid_value"),
        (ChatRequest("  \n", "d"), InvalidValue, "invalid_value"),
        (ChatRequest("a\x00b", "d"), InvalidValue, "invalid_value"),
        (ChatRequest("x" * 101, "d"), TooLarge, "too_large"),
        (ChatRequest("x", ""), InvalidValue, "invalid_value"),
        (ChatRequest("x", "d" * 129), InvalidValue, "invalid_value"),
        (ChatRequest("x", "d\n"), InvalidValue, "invalid_value"),
        (ChatRequest("x", "d", AgentId("nobody's")), NotFound, "agent_not_found"),
        (ChatRequest("x", "d", file_urls=("http://169.254.169.254/",)), InvalidValue, "file_url_refused"),
    ],
)
async def test_what_is_refused_leaves_nothing_behind(
    transactions: DatabaseTransactions, asked: ChatRequest, refusal: type[DomainError], code: str
) -> None:
    desk = ChatDesk(transactions, talks("x"))
    actor = await desk.person()
    with pytest.raises(refusal) as refused:
        await desk.start(actor, asked)
    assert refused.value.code == code
    assert desk.model.requests == []
    async with transactions.autocommit() as tx:
        with pytest.raises(NotFound):
            await tx.dialogs.get(DialogId("d"), owner=actor)


async def test_a_deleted_account_starts_nothing(transactions: DatabaseTransactions) -> None:
    desk = ChatDesk(transactions, talks("x"))
    with pytest.raises(Unauthenticated):
        await desk.ask(UserId(new_id()))
    assert desk.model.requests == []


async def test_a_user_has_a_limit_of_answers_at_once(transactions: DatabaseTransactions) -> None:
    gate = hold()
    desk = ChatDesk(transactions, ScriptedChatModel([gate, delta("x")], repeat=True))
    desk.registry.max_runs_per_user = 2
    actor, other = await desk.person(), await desk.person()
    runs = [await desk.ask(actor, dialog=name) for name in "ab"]
    with pytest.raises(TooManyRequests) as refused:
        await desk.ask(actor, dialog="c")
    assert refused.value.retry_after
    runs.append(await desk.ask(other))
    gate.release()
    await asyncio.gather(*(run.wait() for run in runs))
    await desk.answer(actor, dialog="c")


async def test_a_dialog_deleted_in_mid_answer_ends_in_peace(transactions: DatabaseTransactions) -> None:
    gate = hold()
    desk = ChatDesk(transactions, ScriptedChatModel([delta("x"), gate]))
    actor = await desk.person()
    run = await desk.ask(actor)
    await gate.reached.wait()
    async with transactions.begin() as tx:
        await tx.dialogs.remove(DialogId("d"), owner=actor)
    gate.release()
    *_, failed, done = [one.event async for batch in run.attach(0, 60).batches() for one in batch]
    assert isinstance(failed, RunFailed)
    assert failed.code == "answer_not_stored"
    assert isinstance(done, RunFinished)
    assert done.status is AnswerStatus.FAILED
    assert desk.crashes == desk.troubles == []


async def test_a_limit_holds_for_questions_that_come_at_once(transactions: DatabaseTransactions) -> None:
    gate = hold()
    desk = ChatDesk(transactions, ScriptedChatModel([gate, delta("x")], repeat=True))
    desk.registry.max_runs_per_user = 2
    actor = await desk.person()
    asked = (desk.ask(actor, dialog=f"d{number}") for number in range(20))
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    refused = [one for one in outcomes if isinstance(one, TooManyRequests)]
    assert (len(refused), len(desk.registry.live())) == (18, 2)
    gate.release()
    await asyncio.gather(*(run.wait() for run in desk.registry.live()))
    await desk.answer(actor, dialog="free again")


async def test_a_defect_while_storing_still_ends_the_stream(transactions: DatabaseTransactions) -> None:
    absurd = Usage(input_tokens=10**20)
    desk = ChatDesk(transactions, ScriptedChatModel([delta("x"), finished(usage=absurd)]))
    actor = await desk.person()
    *_, failed, done = [one.event for one in await desk.answer(actor)]
    assert isinstance(failed, RunFailed)
    assert failed.code == "answer_not_stored"
    assert isinstance(done, RunFinished)
    assert (done.status, done.content) == (AnswerStatus.FAILED, "x")
    assert len(desk.crashes) == 1


async def test_an_answer_without_end_is_cut_off_and_kept(transactions: DatabaseTransactions) -> None:
    endless = [delta("x" * 400_000)] * 9
    desk = ChatDesk(transactions, ScriptedChatModel([*endless, finished()]))
    actor = await desk.person()
    *_, failed, done = [one.event for one in await desk.answer(actor)]
    assert isinstance(failed, RunFailed)
    assert failed.code == "answer_too_long"
    assert isinstance(done, RunFinished)
    answer = (await desk.history(actor))[-1]
    assert answer.content == done.content
    assert len(answer.content) < 3_000_000


async def test_a_run_that_outlives_its_lease_is_kept_alive_by_its_process(transactions: DatabaseTransactions) -> None:
    gate = hold()
    desk = ChatDesk(transactions, ScriptedChatModel([gate, delta("x")]))
    actor = await desk.person()
    run = await desk.ask(actor)
    await gate.reached.wait()
    for _ in range(5):
        desk.clock.pass_time(20)
        await desk.alive.once()
        assert await desk.close_abandoned(desk.clock.now()) == 0
    gate.release()
    await run.wait()
    assert run.state.status is RunStatus.COMPLETE


async def test_the_keeper_survives_whatever_goes_wrong(transactions: DatabaseTransactions) -> None:
    class Broken:
        def autocommit(self) -> None:
            raise RuntimeError("a defect")

    seen: list[Exception] = []
    broken, clock = Broken(), SetClock()
    leases, registry = Leases(0.02), RunRegistry(1, 1)
    keeper = KeepRunsAlive(registry, broken, leases, SharedSetClock(clock), seen.append)  # type: ignore[arg-type]
    sweeper = SweepRuns(
        registry,
        broken,  # type: ignore[arg-type]
        leases,
        CloseAbandoned(broken, clock, lambda *_: None),  # type: ignore[arg-type]
        timedelta(hours=1),
        seen.append,
    )
    registry.starting(RunId("run")).__enter__()
    task = asyncio.gather(keeper.forever(), sweeper.forever())
    while len(seen) < 3:
        await asyncio.sleep(0.005)
    task.cancel()
    assert {type(one) for one in seen} == {RuntimeError}


async def test_what_a_turn_that_was_cut_off_used_is_estimated(transactions: DatabaseTransactions) -> None:
    reported = Usage(1000, 10)
    turns = [
        [call("calculator", expression="6*7"), finished(usage=reported)],
        [delta("word " * 100), fail("model_stream_cut")],
    ]
    desk = ChatDesk(transactions, ScriptedChatModel(turns=turns))
    actor = await desk.person()
    done = (await desk.answer(actor))[-1].event
    assert isinstance(done, RunFinished)
    assert done.usage.estimated
    assert done.usage.input_tokens > 1000
    assert done.usage.output_tokens >= 110
    assert done.finish_reason is None


async def test_deleting_a_dialog_stops_the_answer_in_the_making(transactions: DatabaseTransactions) -> None:
    desk = ChatDesk(transactions, ScriptedChatModel([delta("x"), hold()], repeat=True))
    actor = await desk.person()
    run, beside = await desk.ask(actor), await desk.ask(actor, dialog="beside")
    await DeleteDialog(transactions, desk.registry, desk.close_abandoned)(actor, DialogId("d"))
    await run.wait()
    assert run.state.status is RunStatus.STOPPED
    assert not beside.finished
    desk.registry.stop_all(owner=actor)
    await beside.wait()
    assert desk.model.active == 0


turns = st.sampled_from(
    [
        [delta("fine"), finished()],
        [delta("so far"), fail("model_stream_cut")],
        [fail("model_auth_failed")],
        [call("calculator", expression="1+1"), finished()],
        [call("nothing"), finished()],
    ]
)


@given(st.lists(turns, min_size=1, max_size=12), st.lists(st.integers(0, 30), min_size=1, max_size=4))
async def test_exactly_one_answer_for_each_question_whatever_happens(
    transactions: DatabaseTransactions, script: list[list[object]], moments: list[int]
) -> None:
    desk = ChatDesk(transactions, ScriptedChatModel(turns=script, repeat=True))  # type: ignore[arg-type]
    actor = await desk.person()
    for moment in moments:
        run = await desk.ask(actor)
        for _ in range(moment):
            await asyncio.sleep(0)
        if moment % 3 == 0:
            run.end(AnswerStatus.STOPPED)
        seen = [recorded.event async for batch in run.attach(0, 60).batches() for recorded in batch]
        assert [type(event) for event in seen].count(RunFinished) == 1
        done = seen[-1]
        assert isinstance(done, RunFinished)
        assert any(isinstance(event, RunFailed) for event in seen) == (done.status is AnswerStatus.FAILED)
        answer = (await desk.history(actor))[-1]
        assert isinstance(answer, Answer)
        assert (answer.status, answer.content) == (done.status, done.content)
    kinds = [type(one) for one in await desk.history(actor)]
    assert kinds == [Question, Answer] * len(moments)
    assert desk.crashes == desk.troubles == []
    for request in desk.model.requests:
        for one, other in itertools.pairwise(request.turns):
            assert isinstance(one, UserTurn | ToolTurn) != isinstance(other, UserTurn | ToolTurn)
