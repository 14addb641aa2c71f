"""The upkeep of runs: leases, what was abandoned, and what is removed with what."""

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy import func, select

from adapters.database.engine import Gate
from adapters.database.session import Lane, SingleStatements
from adapters.database.tables import metadata
from adapters.database.transactions import DatabaseTransactions
from domain.dialogs.messages import Answer, AnswerStatus
from domain.errors import NotFound
from domain.ids import MessageId, RunId, UserId
from domain.runs.runs import Run, RunStatus
from patience import PATIENCE
from stored import (
    DIALOG,
    LEASE,
    close,
    exchange,
    finished,
    full_answer,
    opened,
    piece,
    seconds,
    with_dialog,
)


async def rows_in(transactions: DatabaseTransactions, table: str) -> int:
    lane = Lane(transactions.database.reader, Gate(1, 1))
    session = SingleStatements(lane, lane, transactions.database.run)
    found = await session.rows(select(func.count()).select_from(metadata.tables[table]), {})
    return int(found[0][0])


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


async def test_nobody_waits_in_a_circle(transactions: DatabaseTransactions) -> None:
    """Postgres would end it after a second, by an error for one of them."""
    for _ in range(5):
        owners = [await with_dialog(transactions) for _ in range(4)]
        runs = [await opened(transactions, owner) for owner in owners]
        ids = [run.run_id for run, *_ in runs]

        async def removed(owner: UserId) -> None:
            async with transactions.autocommit() as tx:
                await tx.dialogs.remove(DIALOG, owner=owner)

        async with transactions.autocommit() as tx:
            async with asyncio.timeout(PATIENCE):
                await asyncio.gather(
                    *(tx.runs.renew(turn, LEASE) for turn in (ids, ids[::-1])),
                    *(tx.runs.append([piece(one, 1, "a") for one in turn]) for turn in (ids, ids[::-1])),
                    *(tx.runs.begun(turn) for turn in (ids, ids[::-1])),
                    *(close(transactions, finished(answer), run.user_id) for run, _, answer in runs),
                    *(removed(owner) for owner in owners),
                )


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
