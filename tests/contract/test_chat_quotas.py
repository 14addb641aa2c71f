"""Quotas before the run: what is refused, what it costs to know, and how far many at once get."""

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from adapters.database.transactions import DatabaseTransactions
from adapters.scripted import Hold, ScriptedChatModel, delta, finished, hold
from application.models.models import ModelCatalogue
from application.usage.quotas import Quotas, ShowQuota
from chat_desk import ChatDesk, read
from domain.errors import NotFound, TooManyRequests
from domain.ids import DialogId, ModelId, RunId, UserId
from domain.models.model_routes import ModelRoute
from domain.models.models import Prices
from domain.runs.runs import RunStatus
from domain.usage.quotas import USUAL_RUN, Quota, midnight_after
from domain.usage.usage import milliseconds
from patience import PATIENCE
from paying import ASKS, DONE, asked, ended, paying, yes
from spending import attempt, noted

USUAL = USUAL_RUN.input_tokens + USUAL_RUN.output_tokens


def desk(transactions: DatabaseTransactions, quota: Quota, gate: Hold | None = None) -> ChatDesk:
    said = [delta("a"), *([gate] if gate else []), delta("b"), finished()]
    return ChatDesk(transactions, ScriptedChatModel(said, repeat=True), quota=quota)


async def spent(chat: ChatDesk, actor: UserId, **changes: object) -> None:
    made = attempt(llm_id=chat.spec.llm_id, at=milliseconds(chat.clock.now()), **changes)
    await noted(chat.transactions, actor, [made])


async def all_at_once(actor: UserId, *chats: ChatDesk) -> Counter[str]:
    """What became of ten questions in ten dialogs at each."""

    async def one(chat: ChatDesk, number: int) -> str:
        try:
            await chat.ask(actor, dialog=f"{id(chat)}-{number}")
        except TooManyRequests as refusal:
            return refusal.code
        return "begun"

    return Counter(await asyncio.gather(*(one(chat, number) for number in range(10) for chat in chats)))


async def drained(*chats: ChatDesk) -> None:
    for chat in chats:
        await chat.registry.drain(5)


async def test_what_is_used_up_comes_back_at_midnight_of_utc(transactions: DatabaseTransactions) -> None:
    chat = desk(transactions, Quota(tokens=120))
    actor = await chat.person()
    await spent(chat, actor)
    left = (midnight_after(chat.clock.now()) - chat.clock.now()).total_seconds()
    with pytest.raises(TooManyRequests) as refused:
        await chat.ask(actor)
    assert (refused.value.code, refused.value.retry_after) == ("quota_exceeded", left)
    async with transactions.autocommit() as tx:
        with pytest.raises(NotFound):
            await tx.dialogs.get(DialogId("d"), owner=actor)
    assert chat.model.requests == []
    chat.clock.pass_time(left)
    await read(await chat.ask(actor))
    await drained(chat)


async def test_the_usage_of_another_is_in_nobodys_way(transactions: DatabaseTransactions) -> None:
    chat = desk(transactions, Quota(tokens=120, runs=1, cost_nanos=1_500))
    await spent(chat, await chat.person())
    await read(await chat.ask(await chat.person()))
    await drained(chat)


@pytest.mark.parametrize(("quota", "room"), [(Quota(runs=3), 3), (Quota(tokens=2 * USUAL + 1), 3), (Quota(runs=1), 1)])
async def test_of_many_at_once_as_many_begin_as_there_is_room_for(
    transactions: DatabaseTransactions, quota: Quota, room: int
) -> None:
    gate = hold()
    chat = desk(transactions, quota, gate)
    assert await all_at_once(await chat.person(), chat) == {"begun": room, "quota_exceeded": 10 - room}
    assert len(chat.registry.live()) == room
    gate.release()
    await drained(chat)


async def test_many_at_once_at_two_processes_pass_a_quota_by_one_at_most(transactions: DatabaseTransactions) -> None:
    gate = hold()
    here, there = desk(transactions, Quota(runs=2), gate), desk(transactions, Quota(runs=2), gate)
    outcomes = await all_at_once(await here.person(), here, there)
    assert 2 <= outcomes["begun"] <= 3
    gate.release()
    await drained(here, there)


async def test_who_is_refused_takes_no_place_and_holds_up_nobody(transactions: DatabaseTransactions) -> None:
    chat = desk(transactions, Quota(tokens=120))
    actor, other = await chat.person(), await chat.person()
    await spent(chat, actor)
    assert await all_at_once(actor, chat) == {"quota_exceeded": 10}
    await asyncio.wait_for(chat.answer(other), PATIENCE)
    assert chat.registry.statistics.refused["quota_exceeded",] == 10
    await drained(chat)


async def test_a_question_costs_no_statement_without_a_quota_and_one_with_it(
    transactions: DatabaseTransactions, statements: list[str]
) -> None:
    counts = []
    for quota in (Quota(), Quota(tokens=10**9)):
        chat = desk(transactions, quota)
        actor = await chat.person()
        await chat.answer(actor)
        statements.clear()
        await chat.answer(actor)
        counts.append(len(statements))
        assert any("usage_ledger" in one and one.startswith("SELECT") for one in statements) == quota.is_limited
    assert counts[1] == counts[0] + 1


async def test_runs_that_wait_lock_nobody_out_on_another_day(transactions: DatabaseTransactions) -> None:
    async with paying(transactions) as scene:
        chat = scene.process(ASKS, ASKS, DONE, DONE, DONE, quota=Quota(runs=2))
        actor, agent_id = await scene.person()
        chat.clock.moment = datetime.now(UTC)
        show = ShowQuota(transactions, chat.clock, ModelCatalogue.of([chat.spec], chat.spec.llm_id), chat.quota)
        first = await asked(chat, actor, agent_id, dialog="d1")
        await asked(chat, actor, agent_id, dialog="d2")
        state = await show(actor)
        assert (state.spent.runs, state.spent.open_runs) == (2, 0)
        with pytest.raises(TooManyRequests) as refused:
            await chat.ask(actor, dialog="d3")
        assert refused.value.retry_after == (state.resets_at - chat.clock.now()).total_seconds()
        # One that waits is one of the day's two already: the person's word is no third.
        chat.clock.moment = midnight_after(chat.clock.now()) + timedelta(hours=30)
        await chat.alive.once()
        state = await show(actor)
        assert (state.spent.runs, state.spent.open_runs) == (0, 0)
        await read(await chat.ask(actor, dialog="d3"))
        await chat.approve(actor, first.state.run_id, yes())
        await ended(chat, actor, first.state.run_id)


async def test_of_the_runs_that_wait_as_many_go_on_in_a_day_as_are_allowed(transactions: DatabaseTransactions) -> None:
    async with paying(transactions) as scene:
        chat = scene.process(ASKS, DONE, DONE, quota=Quota(runs=1))
        actor, agent_id = await scene.person()
        chat.clock.moment = datetime.now(UTC)
        waiting = await asked(chat, actor, agent_id, dialog="d1")
        chat.clock.moment = midnight_after(chat.clock.now()) + timedelta(hours=1)
        await chat.alive.once()
        await noted(transactions, actor, [attempt(at=milliseconds(chat.clock.now()))])
        with pytest.raises(TooManyRequests):
            await chat.approve(actor, waiting.state.run_id, yes())
        chat.clock.moment = midnight_after(chat.clock.now()) + timedelta(hours=1)
        await chat.alive.once()
        await chat.approve(actor, waiting.state.run_id, yes())
        await ended(chat, actor, waiting.state.run_id)


async def test_ones_own_model_is_asked_beyond_the_quota_of_the_systems_unless_one_of_those_may_take_over(
    transactions: DatabaseTransactions, statements: list[str]
) -> None:
    chat = desk(transactions, Quota(tokens=120, runs=2, cost_nanos=1_500))
    actor = await chat.person()
    own = replace(chat.spec, llm_id=ModelId("own"), owner=actor, prices=Prices(1, 1, None, "JPY"))
    quotas = Quotas(transactions, chat.clock, ModelCatalogue.of([chat.spec], chat.spec.llm_id), chat.quota)
    dear = attempt(llm_id=own.llm_id, at=milliseconds(chat.clock.now()), currency="JPY", cost_nanos=6 * 10**9)
    await noted(transactions, actor, [dear])
    for let_in in (own, chat.spec):
        async with quotas.admitted(actor, let_in):
            pass
    await spent(chat, actor)
    for refused in (chat.spec, own, replace(own, fallbacks=(chat.spec.llm_id,))):
        with pytest.raises(TooManyRequests):
            await quotas.admitted(actor, refused).__aenter__()
    tokens = replace(quotas, quota=Quota(tokens=120, cost_nanos=1_500))
    statements.clear()
    async with tokens.admitted(actor, own):
        await tokens.refuse_exhausted(actor, RunId("run"), ModelRoute.of(own))
    assert statements == []
    for route in (ModelRoute.of(chat.spec), ModelRoute(own, (chat.spec.llm_id,), ())):
        with pytest.raises(TooManyRequests):
            await tokens.refuse_exhausted(actor, RunId("run"), route)


async def test_a_person_s_word_is_not_taken_beyond_the_quota_and_decides_nothing(
    transactions: DatabaseTransactions,
) -> None:
    async with paying(transactions) as scene:
        chat = scene.process(ASKS, DONE, quota=Quota(tokens=10_000))
        actor, agent_id = await scene.person()
        run = await asked(chat, actor, agent_id)
        await noted(transactions, actor, [attempt(llm_id=chat.spec.llm_id, at=milliseconds(chat.clock.now()))] * 100)
        with pytest.raises(TooManyRequests) as refused:
            await chat.approve(actor, run.state.run_id, yes())
        assert refused.value.code == "quota_exceeded"
        assert (await chat.show(actor, run.state.run_id)).status is RunStatus.WAITING
        chat.clock.moment = midnight_after(chat.clock.now()) + timedelta(seconds=1)
        await chat.alive.once()
        await chat.approve(actor, run.state.run_id, yes())
        await ended(chat, actor, run.state.run_id)
        assert scene.till.asked == [{"amount": 5}]
