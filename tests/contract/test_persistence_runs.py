"""Runs: one open in a dialog, one closer, and keys."""

import asyncio
from collections import Counter
from dataclasses import replace

import pytest

from adapters.database.transactions import DatabaseTransactions
from application.paging import Window
from domain.dialogs.messages import AnswerStatus, Exchange
from domain.dialogs.past import MOST_BYTES, Past
from domain.errors import Conflict, NotFound, Unauthenticated
from domain.ids import DialogId, RunId
from domain.runs.runs import Idempotency, RunStatus
from domain.tools.tools import ToolCall, ToolRound
from stored import (
    DIALOG,
    NOBODY,
    NOW,
    close,
    dialog,
    finished,
    full_answer,
    open_answer,
    opened,
    piece,
    question,
    registered,
    run_of,
    seconds,
    with_dialog,
)

KEY = Idempotency("key-1", "digest")


async def test_a_run_comes_back_as_stored(transactions: DatabaseTransactions, statements: list[str]) -> None:
    owner = await with_dialog(transactions)
    run, asked, answer = await opened(
        transactions, owner, idempotency=KEY, stop_requested=True, followed_until=seconds(3)
    )
    async with transactions.autocommit() as tx:
        for read in (
            tx.runs.get(run.run_id, owner=owner),
            tx.runs.open_in(DIALOG, owner=owner),
            tx.runs.by_key(KEY.key, owner=owner),
        ):
            statements.clear()
            assert await read == run
            assert len(statements) == 1
        assert await tx.messages.history(DIALOG, Window(), owner=owner) == [asked, answer]
        assert await tx.messages.past(DIALOG, 5, MOST_BYTES, owner=owner) == Past()


async def test_opening_and_closing_are_one_statement_each_on_a_server(
    transactions: DatabaseTransactions, statements: list[str]
) -> None:
    owner = await registered(transactions)
    server = transactions.database.dialect == "postgresql"
    async with transactions.autocommit() as tx:
        for made in (dialog(owner), None):
            asked, answer = question(), open_answer()
            statements.clear()
            await tx.runs.open(run_of(answer, owner), asked, answer, dialog=made)
            assert len(statements) == (1 if server else 2 if made is None else 3)
            statements.clear()
            assert await tx.runs.close(finished(answer), [piece(answer.run_id, 1, "a")], owner=owner)
            assert len(statements) == (1 if server else 4)


async def test_closing_ends_run_answer_and_log_and_touches_the_dialog(transactions: DatabaseTransactions) -> None:
    owner = await with_dialog(transactions)
    run, asked, answer = await opened(transactions, owner)
    closed, rest = full_answer(answer), piece(run.run_id, 1, "a", "", "🙂")
    async with transactions.autocommit() as tx:
        assert await tx.runs.close(closed, [rest], owner=owner)
        assert await tx.messages.history(DIALOG, Window(), owner=owner) == [asked, closed]
        assert await tx.messages.get(answer.message_id, owner=owner) == closed
        assert await tx.messages.get(asked.message_id, owner=owner) == asked
        said = Exchange(asked.content, closed.content, closed.rounds)
        assert await tx.messages.past(DIALOG, 5, MOST_BYTES, owner=owner) == Past((said,))
        assert closed.closed_at is not None
        ended = replace(run.begin().close(AnswerStatus.COMPLETE, closed.closed_at), last_seq=3)
        assert await tx.runs.get(run.run_id, owner=owner) == ended
        assert await tx.runs.log(run.run_id, 0, 9) == list(rest.events)
        assert (await tx.dialogs.get(DIALOG, owner=owner)).updated_at == closed.closed_at
        with pytest.raises(NotFound) as refused:
            await tx.runs.open_in(DIALOG, owner=owner)
        assert refused.value.code == "run_not_found"


async def test_of_many_questions_at_once_one_is_asked(transactions: DatabaseTransactions) -> None:
    owner = await with_dialog(transactions)
    for turn in range(3):
        outcomes = await asyncio.gather(*(opened(transactions, owner) for _ in range(6)), return_exceptions=True)
        won = [one for one in outcomes if isinstance(one, tuple)]
        codes = Counter(one.code for one in outcomes if isinstance(one, Conflict))
        assert (len(won), codes) == (1, {"dialog_busy": 5})
        assert await close(transactions, finished(won[0][2], f"{turn}"), owner)


async def test_of_many_requests_of_one_key_at_once_one_is_taken(transactions: DatabaseTransactions) -> None:
    owner, other = await registered(transactions), await with_dialog(transactions)
    async with transactions.begin() as tx:
        for number in range(6):
            await tx.dialogs.add(dialog(owner, f"d{number}"))
    outcomes = await asyncio.gather(
        *(opened(transactions, owner, dialog_id=DialogId(f"d{number}"), idempotency=KEY) for number in range(6)),
        return_exceptions=True,
    )
    won = [one for one in outcomes if isinstance(one, tuple)]
    codes = Counter(one.code for one in outcomes if isinstance(one, Conflict))
    assert (len(won), codes) == (1, {"idempotency_key_taken": 5})
    await opened(transactions, other, idempotency=KEY)
    async with transactions.autocommit() as tx:
        assert await tx.runs.by_key(KEY.key, owner=owner) == won[0][0]
        assert await close(transactions, finished(won[0][2]), owner)
        with pytest.raises(Conflict):
            await opened(transactions, owner, dialog_id=won[0][0].dialog_id, idempotency=KEY)
        await tx.runs.release_key(won[0][0].run_id)
        assert await tx.runs.by_key(KEY.key, owner=owner) is None
    await opened(transactions, owner, dialog_id=won[0][0].dialog_id, idempotency=KEY)


async def test_of_many_closers_at_once_one_wins(transactions: DatabaseTransactions) -> None:
    owner = await with_dialog(transactions)
    run, _, answer = await opened(transactions, owner)
    closers = [finished(answer, content) for content in "abcdef"]
    won = await asyncio.gather(*(close(transactions, one, owner) for one in closers))
    assert won.count(True) == 1
    async with transactions.autocommit() as tx:
        assert await tx.messages.get(answer.message_id, owner=owner) == closers[won.index(True)]
        assert (await tx.runs.get(run.run_id, owner=owner)).status is RunStatus.COMPLETE


async def test_the_same_closing_again_is_true_and_changes_nothing(transactions: DatabaseTransactions) -> None:
    owner = await with_dialog(transactions)
    run, _, answer = await opened(transactions, owner)
    async with transactions.autocommit() as tx:
        assert await tx.runs.close(finished(answer), [piece(run.run_id, 1, "a")], owner=owner)
        later = replace(finished(answer, "other"), closed_at=seconds(99))
        assert not await tx.runs.close(later, [piece(run.run_id, 2, "b")], owner=owner)
        assert await tx.runs.close(finished(answer), [piece(run.run_id, 2, "c")], owner=owner)
        assert (await tx.dialogs.get(DIALOG, owner=owner)).updated_at == seconds(9)
        assert await tx.messages.get(answer.message_id, owner=owner) == finished(answer)
        assert await tx.runs.log(run.run_id, 0, 9) == list(piece(run.run_id, 1, "a").events)


async def test_closing_what_was_removed_changes_nothing(transactions: DatabaseTransactions) -> None:
    owner = await with_dialog(transactions)
    other = await with_dialog(transactions)
    run, _, answer = await opened(transactions, owner)
    assert not await close(transactions, finished(answer), other)
    async with transactions.begin() as tx:
        await tx.dialogs.remove(DIALOG, owner=owner)
        await tx.dialogs.add(dialog(owner))
    assert not await close(transactions, finished(answer), owner)
    async with transactions.autocommit() as tx:
        assert await tx.runs.append([piece(run.run_id, 1, "a")]) == {}
        assert (await tx.dialogs.get(DIALOG, owner=owner)).updated_at == NOW


async def test_messages_alternate_whatever_the_clocks_say(transactions: DatabaseTransactions) -> None:
    owner = await with_dialog(transactions)
    for number, drift in enumerate([0, -50, 30, -3600, 0]):
        asked = question(content=f"q{number}", created_at=seconds(drift))
        answer = open_answer(created_at=seconds(drift - 1))
        async with transactions.begin() as tx:
            await tx.runs.open(run_of(answer, owner), asked, answer)
            await tx.runs.close(finished(answer, f"a{number}"), (), owner=owner)
    async with transactions.autocommit() as tx:
        history = await tx.messages.history(DIALOG, Window(), owner=owner)
        past = await tx.messages.past(DIALOG, 3, MOST_BYTES, owner=owner)
    assert [one.content for one in history] == [f"{side}{number}" for number in range(5) for side in "qa"]
    assert [(one.question, one.answer) for one in past.exchanges] == [("q2", "a2"), ("q3", "a3"), ("q4", "a4")]
    assert past.before == 2


async def test_a_question_in_no_dialog_is_refused(transactions: DatabaseTransactions) -> None:
    owner = await registered(transactions)
    for asker, refusal in ((owner, NotFound), (NOBODY, Unauthenticated)):
        with pytest.raises(refusal):
            await opened(transactions, asker)


async def test_a_deleted_account_asks_nothing_even_with_a_new_dialog(transactions: DatabaseTransactions) -> None:
    answer = open_answer()
    async with transactions.autocommit() as tx:
        with pytest.raises(Unauthenticated):
            await tx.runs.open(run_of(answer, NOBODY), question(), answer, dialog=dialog(NOBODY))


async def test_a_question_that_makes_its_dialog_is_stored_with_it_or_not_at_all(
    transactions: DatabaseTransactions,
) -> None:
    owner = await registered(transactions)
    asked, answer = question(), open_answer()
    async with transactions.autocommit() as tx:
        await tx.runs.open(run_of(answer, owner), asked, answer, dialog=dialog(owner))
        assert await tx.messages.history(DIALOG, Window(), owner=owner) == [asked, answer]
        assert await tx.runs.close(finished(answer), (), owner=owner)
        other = open_answer()
        with pytest.raises(Conflict) as refused:
            await tx.runs.open(run_of(other, owner), question(), other, dialog=dialog(owner))
        assert refused.value.code == "dialog_exists"
        twice = replace(question("new"), message_id=asked.message_id)
        elsewhere = open_answer("new")
        with pytest.raises(Exception, match=r"(?i)unique"):
            await tx.runs.open(run_of(elsewhere, owner), twice, elsewhere, dialog=dialog(owner, "new"))
        for missing in (
            tx.dialogs.get(DialogId("new"), owner=owner),
            tx.runs.get(elsewhere.run_id, owner=owner),
        ):
            with pytest.raises(NotFound):
                await missing
        assert await tx.messages.history(DIALOG, Window(), owner=owner) == [asked, finished(answer)]


async def test_a_run_that_is_stored_already_is_opened(transactions: DatabaseTransactions) -> None:
    """As after an outage, when nobody knows whether it was."""
    owner = await registered(transactions)
    asked, answer = question(), open_answer()
    run = run_of(answer, owner, idempotency=KEY)
    async with transactions.autocommit() as tx:
        for _ in range(2):
            await tx.runs.open(run, asked, answer, dialog=dialog(owner))
        assert await tx.messages.history(DIALOG, Window(), owner=owner) == [asked, answer]


async def test_text_that_no_database_stores_does_not_lose_an_answer(transactions: DatabaseTransactions) -> None:
    owner = await with_dialog(transactions)
    run, _, answer = await opened(transactions, owner)
    call = ToolCall("c", "calculator", '{"a": "\ud800\x00"}')
    odd = finished(answer, "a\x00b\ud800c", rounds=(ToolRound("\x00", (call,), ()),))
    async with transactions.autocommit() as tx:
        assert await tx.runs.close(odd, [piece(run.run_id, 1, "a\x00b\ud800", "c")], owner=owner)
        assert (await tx.messages.get(answer.message_id, owner=owner)).content == "a\ufffdb?c"
        assert await tx.runs.log(run.run_id, 0, 9) == list(piece(run.run_id, 1, "a\x00b?", "c").events)


async def test_a_run_is_read_by_its_owner_alone(transactions: DatabaseTransactions) -> None:
    owner, other = await with_dialog(transactions), await registered(transactions)
    run, _, _ = await opened(transactions, owner, idempotency=KEY)
    async with transactions.autocommit() as tx:
        assert await tx.runs.by_key(KEY.key, owner=other) is None
        assert await tx.runs.by_key("unknown", owner=owner) is None
        for reader, refusal in ((other, NotFound), (NOBODY, Unauthenticated)):
            for refused in (tx.runs.get(run.run_id, owner=reader), tx.runs.open_in(DIALOG, owner=reader)):
                with pytest.raises(refusal):
                    await refused
        with pytest.raises(Unauthenticated):
            await tx.runs.by_key(KEY.key, owner=NOBODY)
        for missing in (tx.runs.get(RunId("x"), owner=owner), tx.runs.open_in(DialogId("x"), owner=owner)):
            with pytest.raises(NotFound) as told:
                await missing
            assert told.value.code == "run_not_found"


async def test_the_scene_counts_the_callers_open_runs(transactions: DatabaseTransactions) -> None:
    owner, other = await with_dialog(transactions), await with_dialog(transactions)
    async with transactions.begin() as tx:
        await tx.dialogs.add(dialog(owner, "d2"))
    _, _, answer = await opened(transactions, owner)
    await opened(transactions, owner, dialog_id=DialogId("d2"))
    await opened(transactions, other)
    async with transactions.autocommit() as tx:
        assert (await tx.dialogs.scene(DIALOG, None, owner=owner)).open_runs == 2
        assert await tx.runs.close(finished(answer), (), owner=owner)
        assert (await tx.dialogs.scene(DialogId("new"), None, owner=owner)).open_runs == 1
