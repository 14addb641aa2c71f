"""Runs: one open in a dialog, one closer, leases, keys, and what is removed with what."""

import asyncio
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import func, select

from adapters.database.engine import Gate
from adapters.database.session import Lane, SingleStatements
from adapters.database.tables import metadata
from adapters.database.transactions import DatabaseTransactions
from application.paging import Window
from domain.errors import Conflict, NotFound, Unauthenticated
from domain.ids import DialogId, MessageId, RunId, UserId
from domain.messages import Answer, AnswerStatus, Exchange, Question
from domain.runs import Idempotency, Run, RunStatus
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
    piece,
    question,
    registered,
    run_of,
    seconds,
    with_dialog,
)

KEY = Idempotency("key-1", "digest")


async def opened(transactions: DatabaseTransactions, owner: UserId, **changes: Any) -> tuple[Run, Question, Answer]:
    dialog_id = changes.get("dialog_id", DIALOG)
    asked, answer = question(dialog_id), open_answer(dialog_id)
    run = run_of(answer, owner, **changes)
    async with transactions.autocommit() as tx:
        await tx.runs.open(run, asked, answer)
    return run, asked, answer


async def close(transactions: DatabaseTransactions, answer: Answer, owner: UserId) -> bool:
    async with transactions.begin() as tx:
        return await tx.runs.close(answer, (), owner=owner)


async def rows_in(transactions: DatabaseTransactions, table: str) -> int:
    lane = Lane(transactions.database.reader, Gate(1, 1))
    session = SingleStatements(lane, lane, transactions.database.run)
    found = await session.rows(select(func.count()).select_from(metadata.tables[table]), {})
    return int(found[0][0])


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
        assert await tx.messages.recent(DIALOG, 5, owner=owner) == []


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
        assert await tx.messages.recent(DIALOG, 5, owner=owner) == [
            Exchange(asked.content, closed.content, closed.rounds)
        ]
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
        recent = await tx.messages.recent(DIALOG, 3, owner=owner)
    assert [one.content for one in history] == [f"{side}{number}" for number in range(5) for side in "qa"]
    assert [(one.question, one.answer) for one in recent] == [("q2", "a2"), ("q3", "a3"), ("q4", "a4")]


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


async def test_queued_runs_begin_and_others_stay_as_they_are(transactions: DatabaseTransactions) -> None:
    owners = [await with_dialog(transactions) for _ in range(3)]
    runs = [await opened(transactions, owner) for owner in owners]
    assert await close(transactions, finished(runs[0][2]), owners[0])
    async with transactions.autocommit() as tx:
        await tx.runs.begun([])
        await tx.runs.begun([runs[0][0].run_id, runs[1][0].run_id, RunId("unknown")])
        found = [await tx.runs.get(run.run_id, owner=run.user_id) for run, *_ in runs]
    assert [one.status for one in found] == [RunStatus.COMPLETE, RunStatus.RUNNING, RunStatus.QUEUED]


async def test_a_lease_is_renewed_while_the_run_is_open_and_never_gets_shorter(
    transactions: DatabaseTransactions,
) -> None:
    owners = [await with_dialog(transactions) for _ in range(3)]
    runs = [await opened(transactions, owner) for owner in owners]
    ids = [run.run_id for run, *_ in runs]
    assert await close(transactions, finished(runs[0][2]), owners[0])
    async with transactions.autocommit() as tx:
        await tx.runs.request_stop(ids[1])
        await tx.runs.request_stop(ids[0])
        assert await tx.runs.renew([], LEASE) == {}
        for until in (seconds(60), seconds(40)):
            assert await tx.runs.renew([*ids, RunId("unknown")], until) == {ids[1]: True, ids[2]: False}
        found = [await tx.runs.get(run.run_id, owner=run.user_id) for run, *_ in runs]
    assert [one.lease_until for one in found] == [LEASE, seconds(60), seconds(60)]
    assert [one.stop_requested for one in found] == [False, True, False]


async def test_an_open_run_is_followed_until_the_latest_moment_that_was_said(
    transactions: DatabaseTransactions,
) -> None:
    owner = await with_dialog(transactions)
    run, _, answer = await opened(transactions, owner)
    async with transactions.autocommit() as tx:
        for until, expected in ((5, 5), (3, 5), (8, 8)):
            await tx.runs.follow(run.run_id, seconds(until))
            assert (await tx.runs.get(run.run_id, owner=owner)).followed_until == seconds(expected)
        assert await tx.runs.close(finished(answer), (), owner=owner)
        await tx.runs.follow(run.run_id, seconds(99))
        assert (await tx.runs.get(run.run_id, owner=owner)).followed_until == seconds(8)


async def test_abandoned_runs_are_found_oldest_first(transactions: DatabaseTransactions) -> None:
    owners = [await with_dialog(transactions) for _ in range(4)]
    runs = [
        (await opened(transactions, owner, lease_until=seconds(until)))[0]
        for owner, until in zip(owners, (3, 1, 2, 9), strict=True)
    ]
    async with transactions.autocommit() as tx:
        await tx.runs.append([piece(runs[1].run_id, 1, "a", "b")])
        found = await tx.runs.abandoned(seconds(5), 10)
        assert found == [replace(runs[1], last_seq=2), runs[2], runs[0]]
        assert await tx.runs.abandoned(seconds(5), 2) == found[:2]
        assert await tx.runs.abandoned(seconds(1), 10) == []


async def recover(transactions: DatabaseTransactions, run: Run, answer: Answer, now: float) -> bool:
    async with transactions.begin() as tx:
        if not await tx.runs.hold_abandoned(run.run_id, seconds(now)):
            return False
        end = replace(answer, status=AnswerStatus.INTERRUPTED, closed_at=seconds(now))
        return await tx.runs.close(end, [piece(run.run_id, 100, "end")], owner=run.user_id)


async def test_an_abandoned_run_is_closed_by_one_and_not_by_its_own_process_any_more(
    transactions: DatabaseTransactions,
) -> None:
    owner = await with_dialog(transactions)
    run, _, answer = await opened(transactions, owner)
    assert not await recover(transactions, run, answer, 30)
    async with transactions.autocommit() as tx:
        await tx.runs.renew([run.run_id], seconds(60))
    assert not await recover(transactions, run, answer, 31)
    outcomes = await asyncio.gather(*(recover(transactions, run, answer, 61 + turn) for turn in range(4)))
    assert sorted(outcomes) == [False, False, False, True]
    assert not await recover(transactions, run, answer, 99)
    async with transactions.autocommit() as tx:
        assert not await tx.runs.hold_abandoned(RunId("unknown"), seconds(99))
        assert not await tx.runs.close(full_answer(answer), [piece(run.run_id, 1, "late")], owner=owner)
        stored = await tx.messages.get(answer.message_id, owner=owner)
        assert stored == replace(answer, status=AnswerStatus.INTERRUPTED, closed_at=seconds(61 + outcomes.index(True)))
        assert await tx.runs.log(run.run_id, 0, 9) == list(piece(run.run_id, 100, "end").events)
    await exchange(transactions, owner, 2)


@pytest.mark.parametrize("what", ["dialog", "user"])
async def test_runs_and_logs_go_with_their_dialog_and_their_account(
    transactions: DatabaseTransactions, what: str
) -> None:
    owner, other = await with_dialog(transactions), await with_dialog(transactions)
    for one in (owner, other):
        run, _, answer = await opened(transactions, one)
        async with transactions.autocommit() as tx:
            assert await tx.runs.close(finished(answer), [piece(run.run_id, 1, "a")], owner=one)
        run, _, _ = await opened(transactions, one)
        async with transactions.autocommit() as tx:
            assert await tx.runs.append([piece(run.run_id, 1, "a")]) == {run.run_id: False}
    assert [await rows_in(transactions, table) for table in ("runs", "run_log")] == [4, 4]
    async with transactions.autocommit() as tx:
        await (tx.users.remove(owner) if what == "user" else tx.dialogs.remove(DIALOG, owner=owner))
    assert [await rows_in(transactions, table) for table in ("runs", "run_log")] == [2, 2]


async def test_old_logs_and_runs_are_removed_in_batches_and_messages_stay(transactions: DatabaseTransactions) -> None:
    owner = await with_dialog(transactions)
    answers: list[Answer] = []
    async with transactions.autocommit() as tx:
        for number in range(6):
            run, _, answer = await opened(transactions, owner)
            await tx.runs.append([piece(run.run_id, 1, "a")])
            if number < 5:
                answers.append(replace(finished(answer), closed_at=seconds(number)))
                assert await tx.runs.close(answers[-1], [piece(run.run_id, 2, "b")], owner=owner)
        assert [await tx.runs.remove_logs(seconds(3), 2) for _ in range(3)] == [2, 1, 0]
        assert await rows_in(transactions, "run_log") == 5
        first = await tx.runs.get(answers[0].run_id, owner=owner)
        assert (first.closed_at, first.last_seq) == (seconds(0), 0)
        assert await tx.runs.log(answers[0].run_id, 0, 9) == []
        assert [await tx.runs.remove(seconds(4), 3) for _ in range(3)] == [3, 1, 0]
        assert [await rows_in(transactions, table) for table in ("runs", "run_log", "messages")] == [2, 3, 12]
        with pytest.raises(NotFound):
            await tx.runs.get(answers[0].run_id, owner=owner)
        assert await tx.messages.get(MessageId(answers[0].message_id), owner=owner) == answers[0]
