"""What runs used is in the ledger once, however they ended and wherever: the same that their answers say."""

import asyncio
from dataclasses import replace

import pytest

from adapters.database.transactions import DatabaseTransactions
from adapters.scripted import ScriptedChatModel, call, delta, fail, finished, hold
from application.dialogs.dialogs import DeleteDialog
from chat_desk import ChatDesk, read
from domain.conversation.conversation import Usage
from domain.dialogs.messages import Answer
from domain.ids import DialogId, UserId
from domain.models.attempts import ANSWERED, INTERRUPTED
from domain.models.models import Prices
from domain.usage.usage import UsageSum
from paying import ASKS, DONE, asked, call_of, ended, paying, soon, yes
from spending import NOON, attempt, entries, outcomes, sums

PRICES = Prices(3.0, 15.0, 0.3, "EUR")


def desk(transactions: DatabaseTransactions, model: ScriptedChatModel) -> ChatDesk:
    made = ChatDesk(transactions, model)
    return ChatDesk(transactions, model, spec=replace(made.spec, prices=PRICES))


async def only(transactions: DatabaseTransactions, owner: UserId) -> UsageSum:
    (found,) = await sums(transactions, owner)
    return found


async def agrees(chat: ChatDesk, owner: UserId) -> None:
    """The sums of the answers that are kept and those of the ledger."""
    answers = [one for one in await chat.history(owner) if isinstance(one, Answer)]
    usage = sum((one.usage for one in answers), Usage())
    found = await sums(chat.transactions, owner)
    assert sum(one.input_tokens for one in found) == usage.input_tokens
    assert sum(one.output_tokens for one in found) == usage.output_tokens
    assert sum(one.cached_tokens for one in found) == usage.cached_tokens
    assert any(one.estimated_attempts for one in found) == usage.estimated


async def test_an_answer_with_tools_is_a_row_for_each_call_of_the_model(transactions: DatabaseTransactions) -> None:
    turns = [
        [delta("Let me see. "), call("calculator", expression="1+1"), finished(usage=Usage(100, 10, 50))],
        [delta("2"), finished(usage=Usage(130, 5, 100))],
    ]
    chat = desk(transactions, ScriptedChatModel(turns=turns))
    actor = await chat.person()
    await chat.answer(actor)
    found = await only(transactions, actor)
    assert (found.runs, found.attempts, found.input_tokens, found.output_tokens) == (1, 2, 230, 15)
    # 80 fresh tokens at 3, 150 cached ones at 0.3 and 15 written ones at 15, each for a million.
    assert (found.cost_nanos, found.currency) == ((80 * 3000 + 150 * 300 + 15 * 15000), "EUR")
    assert await outcomes(transactions, actor) == [ANSWERED, ANSWERED]
    for row in await entries(transactions, actor):
        assert (row["agent_id"], row["llm_id"], row["estimated"]) == ("default", chat.spec.llm_id, False)
        assert 0 <= row["first_token_ms"] <= row["duration_ms"]
    await agrees(chat, actor)
    assert chat.registry.statistics.tokens["other", "input"] == 230


async def test_a_stopped_answer_is_an_interrupted_row_with_an_estimate(transactions: DatabaseTransactions) -> None:
    gate = hold()
    chat = desk(transactions, ScriptedChatModel([delta("half of it"), gate]))
    actor = await chat.person()
    run = await chat.ask(actor)
    await gate.reached.wait()
    await chat.stop(actor, run_id=run.state.run_id, dialog_id=None)
    await read(run)
    found = await only(transactions, actor)
    assert (found.attempts, found.estimated_attempts) == (1, 1)
    assert found.input_tokens > 0
    assert found.output_tokens > 0
    assert await outcomes(transactions, actor) == [INTERRUPTED]
    await agrees(chat, actor)


async def test_a_failed_answer_is_a_row_with_the_reason(transactions: DatabaseTransactions) -> None:
    chat = desk(transactions, ScriptedChatModel([delta("a"), fail("model_stream_cut")]))
    actor = await chat.person()
    await chat.answer(actor)
    assert await outcomes(transactions, actor) == ["model_stream_cut"]
    await agrees(chat, actor)


async def test_a_run_that_another_process_closes_is_in_the_ledger_once(transactions: DatabaseTransactions) -> None:
    gate = hold()
    dead, alive = (desk(transactions, ScriptedChatModel([delta("half"), gate])) for _ in range(2))
    actor = await dead.person()
    await dead.ask(actor)
    await gate.reached.wait()
    await dead.writer.flush()
    alive.clock.pass_time(3600)
    later = alive.clock.now()
    closed = await asyncio.gather(*(alive.close_abandoned(later) for _ in range(3)))
    assert sum(closed) == 1
    assert await outcomes(transactions, actor) == [INTERRUPTED]
    gate.release()
    await dead.registry.drain(5)
    found = await only(transactions, actor)
    assert (found.runs, found.attempts, found.estimated_attempts) == (1, 1, 1)
    await agrees(alive, actor)
    assert not [labels for labels, count in dead.registry.statistics.tokens if count]


@pytest.mark.parametrize("elsewhere", [False, True])
async def test_what_a_run_used_is_kept_when_its_dialog_is_deleted_meanwhile(
    transactions: DatabaseTransactions, *, elsewhere: bool
) -> None:
    gate = hold()
    chat, other = (desk(transactions, ScriptedChatModel([delta("half"), gate])) for _ in range(2))
    actor = await chat.person()
    await chat.ask(actor)
    await gate.reached.wait()
    there = other if elsewhere else chat
    await DeleteDialog(transactions, there.registry, there.close_abandoned)(actor, DialogId("d"))
    await chat.alive.once()
    gate.release()
    await chat.registry.drain(5)
    found = await only(transactions, actor)
    assert (found.runs, found.attempts, found.name) == (1, 1, "scripted")


async def test_what_a_waiting_run_used_is_kept_when_its_dialog_is_deleted(transactions: DatabaseTransactions) -> None:
    async with paying(transactions) as scene:
        chat = scene.process(ASKS)
        actor, agent_id = await scene.person()
        await asked(chat, actor, agent_id)
        assert [one.attempts for one in await sums(transactions, actor)] == [1]
        await DeleteDialog(transactions, chat.registry, chat.close_abandoned)(actor, DialogId("d"))
        assert [one.attempts for one in await sums(transactions, actor)] == [1]


async def test_a_run_that_waited_is_in_the_ledger_when_it_waits_and_once_when_it_ended(
    transactions: DatabaseTransactions,
) -> None:
    async with paying(transactions) as scene:
        here, there = scene.process(ASKS), scene.process(ASKS, DONE)
        actor, agent_id = await scene.person()
        run = await asked(here, actor, agent_id)
        await there.approve(actor, run.state.run_id, yes())
        async with soon():
            while len(await outcomes(transactions, actor)) < 2:
                await asyncio.sleep(0.01)
        await there.approve(actor, run.state.run_id, yes(call_of(1)))
        await ended(there, actor, run.state.run_id)
        assert await outcomes(transactions, actor) == [ANSWERED] * 3
        assert [one.runs for one in await sums(transactions, actor)] == [1]
        await agrees(there, actor)


async def test_a_lost_answer_told_twice_is_kept_once(transactions: DatabaseTransactions) -> None:
    chat = desk(transactions, ScriptedChatModel([delta("a"), finished()]))
    actor = await chat.person()
    await chat.answer(actor)
    (_, answer) = await chat.history(actor)
    assert isinstance(answer, Answer)
    lost = replace(answer, attempts=(attempt(), attempt(at=NOON + 1)))
    before = await sums(transactions, actor)
    async with transactions.autocommit() as tx:
        for _ in range(2):
            await tx.ledger.keep_used(lost, owner=actor)
    assert sum(one.attempts for one in await sums(transactions, actor)) == sum(one.attempts for one in before) + 2
