"""Messages: one open answer in a dialog, one closer, strict alternation, leases."""

import asyncio
from collections import Counter
from dataclasses import replace

import pytest

from adapters.database.transactions import DatabaseTransactions
from application.paging import Window
from domain.errors import Conflict, NotFound, Unauthenticated
from domain.ids import DialogId, MessageId, RunId, UserId
from domain.messages import Answer, AnswerStatus, Exchange, Feedback, Question
from domain.tools import ToolCall, ToolRound
from stored import (
    DIALOG,
    LEASE,
    NOBODY,
    NOW,
    dialog,
    exchange,
    finished,
    full_answer,
    open_answer,
    question,
    registered,
    seconds,
    with_dialog,
)


async def opened(transactions: DatabaseTransactions, owner: UserId) -> tuple[Question, Answer]:
    asked, answer = question(), open_answer()
    async with transactions.begin() as tx:
        await tx.messages.open(asked, answer, owner=owner, lease_until=LEASE)
    return asked, answer


async def close(transactions: DatabaseTransactions, answer: Answer, owner: UserId) -> bool:
    async with transactions.begin() as tx:
        return await tx.messages.close(answer, owner=owner)


async def test_an_exchange_comes_back_as_stored(transactions: DatabaseTransactions, statements: list[str]) -> None:
    owner = await with_dialog(transactions)
    asked, answer = question(content="行\n🙂"), open_answer()
    async with transactions.begin() as tx:
        statements.clear()
        await tx.messages.open(asked, answer, owner=owner, lease_until=LEASE)
        assert sum("messages" in one for one in statements) == 1
        assert await tx.messages.history(DIALOG, Window(), owner=owner) == [asked, answer]
        assert await tx.messages.recent(DIALOG, 5, owner=owner) == []
        statements.clear()
        closed = full_answer(answer)
        assert await tx.messages.close(closed, owner=owner)
        assert len(statements) <= 2
        assert await tx.messages.history(DIALOG, Window(), owner=owner) == [asked, closed]
        assert await tx.messages.get(answer.message_id, owner=owner) == closed
        assert await tx.messages.get(asked.message_id, owner=owner) == asked
        assert await tx.messages.recent(DIALOG, 5, owner=owner) == [
            Exchange(asked.content, closed.content, closed.rounds)
        ]
        assert (await tx.dialogs.get(DIALOG, owner=owner)).updated_at == closed.closed_at


async def test_of_many_questions_at_once_one_is_asked(transactions: DatabaseTransactions) -> None:
    owner = await with_dialog(transactions)
    for turn in range(3):
        outcomes = await asyncio.gather(*(opened(transactions, owner) for _ in range(6)), return_exceptions=True)
        won = [one for one in outcomes if isinstance(one, tuple)]
        codes = Counter(one.code for one in outcomes if isinstance(one, Conflict))
        assert (len(won), codes) == (1, {"dialog_busy": 5})
        assert await close(transactions, finished(won[0][1], f"{turn}"), owner)


async def test_of_many_closers_at_once_one_wins(transactions: DatabaseTransactions) -> None:
    owner = await with_dialog(transactions)
    _, answer = await opened(transactions, owner)
    closers = [finished(answer, content) for content in "abcdef"]
    won = await asyncio.gather(*(close(transactions, one, owner) for one in closers))
    assert won.count(True) == 1
    async with transactions.autocommit() as tx:
        assert await tx.messages.get(answer.message_id, owner=owner) == closers[won.index(True)]


async def test_closing_what_was_removed_changes_nothing(transactions: DatabaseTransactions) -> None:
    owner = await with_dialog(transactions)
    other = await with_dialog(transactions)
    _, answer = await opened(transactions, owner)
    assert not await close(transactions, finished(answer), other)
    async with transactions.begin() as tx:
        await tx.dialogs.remove(DIALOG, owner=owner)
        await tx.dialogs.add(dialog(owner))
    assert not await close(transactions, finished(answer), owner)
    async with transactions.autocommit() as tx:
        assert (await tx.dialogs.get(DIALOG, owner=owner)).updated_at == NOW


async def test_messages_alternate_whatever_the_clocks_say(transactions: DatabaseTransactions) -> None:
    owner = await with_dialog(transactions)
    for number, drift in enumerate([0, -50, 30, -3600, 0]):
        asked = question(content=f"q{number}", created_at=seconds(drift))
        answer = open_answer(created_at=seconds(drift - 1))
        async with transactions.begin() as tx:
            await tx.messages.open(asked, answer, owner=owner, lease_until=LEASE)
            await tx.messages.close(finished(answer, f"a{number}"), owner=owner)
    async with transactions.autocommit() as tx:
        history = await tx.messages.history(DIALOG, Window(), owner=owner)
        recent = await tx.messages.recent(DIALOG, 3, owner=owner)
    assert [one.content for one in history] == [f"{side}{number}" for number in range(5) for side in "qa"]
    assert [(one.question, one.answer) for one in recent] == [("q2", "a2"), ("q3", "a3"), ("q4", "a4")]


async def test_the_history_of_no_dialog_is_not_found(transactions: DatabaseTransactions) -> None:
    owner, other = await with_dialog(transactions), await registered(transactions)
    await exchange(transactions, owner)
    async with transactions.autocommit() as tx:
        assert await tx.messages.recent(DIALOG, 5, owner=other) == []
        for dialog_id, reader in ((DialogId("unknown"), owner), (DIALOG, other)):
            with pytest.raises(NotFound):
                await tx.messages.history(dialog_id, Window(), owner=reader)


async def test_a_question_in_no_dialog_is_refused(transactions: DatabaseTransactions) -> None:
    owner = await registered(transactions)
    for asker, refusal in ((owner, NotFound), (NOBODY, Unauthenticated)):
        with pytest.raises(refusal):
            await opened(transactions, asker)


async def test_a_message_is_read_and_rated_by_its_owner_alone(transactions: DatabaseTransactions) -> None:
    owner, other = await with_dialog(transactions), await registered(transactions)
    asked, answer = await exchange(transactions, owner)
    async with transactions.begin() as tx:
        for rating in (Feedback.LIKE, Feedback.DOWN, None):
            await tx.messages.rate(answer.message_id, rating, owner=owner)
            assert await tx.messages.get(answer.message_id, owner=owner) == replace(answer, feedback=rating)
        await tx.messages.rate(asked.message_id, Feedback.LIKE, owner=owner)
        assert await tx.messages.get(asked.message_id, owner=owner) == replace(asked, feedback=Feedback.LIKE)
        for reader, refusal in ((other, NotFound), (NOBODY, Unauthenticated)):
            with pytest.raises(refusal):
                await tx.messages.get(answer.message_id, owner=reader)
            with pytest.raises(refusal):
                await tx.messages.rate(answer.message_id, None, owner=reader)


async def test_a_deleted_account_reads_no_messages(transactions: DatabaseTransactions) -> None:
    async with transactions.autocommit() as tx:
        for refused in (
            tx.messages.history(DIALOG, Window(), owner=NOBODY),
            tx.messages.recent(DIALOG, 5, owner=NOBODY),
            tx.messages.get(MessageId("m"), owner=NOBODY),
        ):
            with pytest.raises(Unauthenticated):
                await refused


async def test_abandoned_answers_are_interrupted_once(transactions: DatabaseTransactions) -> None:
    owners = [await with_dialog(transactions) for _ in range(3)]
    answers = [(await opened(transactions, owner))[1] for owner in owners]
    assert await close(transactions, finished(answers[2]), owners[2])

    async def sweep(at: float) -> int:
        async with transactions.begin() as tx:
            return await tx.messages.close_abandoned(seconds(at))

    assert await sweep(30) == 0
    async with transactions.begin() as tx:
        await tx.messages.renew_leases([answers[1].message_id, answers[2].message_id], seconds(100))
        await tx.messages.renew_leases([], seconds(100))
    assert sum(await asyncio.gather(*(sweep(99) for _ in range(4)))) == 1
    async with transactions.autocommit() as tx:
        swept = await tx.messages.get(answers[0].message_id, owner=owners[0])
        assert swept == replace(answers[0], status=AnswerStatus.INTERRUPTED, closed_at=swept.closed_at)
        assert await tx.messages.get(answers[1].message_id, owner=owners[1]) == answers[1]
    assert await sweep(101) == 1
    await exchange(transactions, owners[0], 2)


async def test_a_run_takes_back_its_answer_that_was_swept(transactions: DatabaseTransactions) -> None:
    owner = await with_dialog(transactions)
    _, answer = await opened(transactions, owner)
    async with transactions.autocommit() as tx:
        assert await tx.messages.close_abandoned(seconds(31)) == 1
        stranger = replace(full_answer(answer), run_id=RunId("another"))
        assert not await tx.messages.close(stranger, owner=owner)
        _, newer = await opened(transactions, owner)
        assert await tx.messages.close(full_answer(answer), owner=owner)
        assert not await tx.messages.close(finished(answer, "late"), owner=owner)
        assert await tx.messages.close_abandoned(seconds(31)) == 1
        assert await tx.messages.get(answer.message_id, owner=owner) == full_answer(answer)
        assert await tx.messages.close(finished(newer), owner=owner)


async def test_an_empty_answer_that_its_own_run_interrupted_stays_so(transactions: DatabaseTransactions) -> None:
    owner = await with_dialog(transactions)
    _, answer = await opened(transactions, owner)
    stopped = replace(answer, status=AnswerStatus.INTERRUPTED, closed_at=seconds(1))
    assert await close(transactions, stopped, owner)
    assert not await close(transactions, finished(answer), owner)


async def test_text_that_no_database_stores_does_not_lose_an_answer(transactions: DatabaseTransactions) -> None:
    owner = await with_dialog(transactions)
    _, answer = await opened(transactions, owner)
    call = ToolCall("c", "calculator", '{"a": "\ud800\x00"}')
    odd = finished(answer, "a\x00b\ud800c", rounds=(ToolRound("\x00", (call,), ()),))
    assert await close(transactions, odd, owner)
    async with transactions.autocommit() as tx:
        stored = await tx.messages.get(answer.message_id, owner=owner)
    assert stored.content == "a\ufffdb?c"


async def test_a_question_that_makes_its_dialog_is_stored_with_it_or_not_at_all(
    transactions: DatabaseTransactions,
) -> None:
    owner = await registered(transactions)
    async with transactions.autocommit() as tx:
        asked, answer = question(), open_answer()
        await tx.messages.open(asked, answer, owner=owner, lease_until=LEASE, dialog=dialog(owner))
        assert await tx.messages.history(DIALOG, Window(), owner=owner) == [asked, answer]
        assert await tx.messages.close(finished(answer), owner=owner)
        with pytest.raises(Conflict) as refused:
            await tx.messages.open(question(), open_answer(), owner=owner, lease_until=LEASE, dialog=dialog(owner))
        assert refused.value.code == "dialog_exists"
        twice = replace(question(), message_id=asked.message_id)
        with pytest.raises(Exception, match=r"(?i)unique"):
            await tx.messages.open(
                replace(twice, dialog_id=DialogId("new")),
                open_answer("new"),
                owner=owner,
                lease_until=LEASE,
                dialog=dialog(owner, "new"),
            )
        with pytest.raises(NotFound):
            await tx.dialogs.get(DialogId("new"), owner=owner)
        assert await tx.messages.history(DIALOG, Window(), owner=owner) == [asked, finished(answer)]


async def test_an_answer_closed_twice_touches_its_dialog_once(transactions: DatabaseTransactions) -> None:
    owner = await with_dialog(transactions)
    _, answer = await opened(transactions, owner)
    async with transactions.autocommit() as tx:
        assert await tx.messages.close(finished(answer), owner=owner)
        again = replace(finished(answer, "other"), closed_at=seconds(99))
        assert not await tx.messages.close(again, owner=owner)
        assert await tx.messages.close(finished(answer), owner=owner)
        assert (await tx.dialogs.get(DIALOG, owner=owner)).updated_at == seconds(9)
        assert await tx.messages.get(answer.message_id, owner=owner) == finished(answer)


async def test_a_deleted_account_asks_nothing_even_with_a_new_dialog(transactions: DatabaseTransactions) -> None:
    async with transactions.autocommit() as tx:
        with pytest.raises(Unauthenticated):
            await tx.messages.open(question(), open_answer(), owner=NOBODY, lease_until=LEASE, dialog=dialog(NOBODY))
