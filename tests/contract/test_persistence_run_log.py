"""A run's log: it grows while the run is open, and is read from any number on."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from adapters.database.runs.runs_on_postgres import words_of
from adapters.database.runs.signals import LOG_CHANNEL, STOP_CHANNEL
from adapters.database.transactions import DatabaseTransactions
from application.ports.runs import LogPiece
from domain.chat.chat_events import AnswerDelta, ChatEvent, ReasoningText, Recorded, TurnFinished
from domain.conversation.conversation import FinishReason
from domain.dialogs.messages import Answer
from domain.ids import RunId, UserId
from domain.runs.runs import Run
from patience import PATIENCE
from stored import finished, open_answer, piece, question, run_of, seconds, with_dialog


async def opened(transactions: DatabaseTransactions) -> tuple[Run, Answer]:
    owner, answer = await with_dialog(transactions), open_answer()
    run = run_of(answer, owner)
    async with transactions.autocommit() as tx:
        await tx.runs.open(run, question(), answer)
    return run, answer


async def append(transactions: DatabaseTransactions, *pieces: LogPiece) -> dict[RunId, bool]:
    async with transactions.autocommit() as tx:
        return dict(await tx.runs.append(pieces))


async def log_of(transactions: DatabaseTransactions, run: Run, after: int = 0, limit: int = 99) -> list[Recorded]:
    async with transactions.autocommit() as tx:
        return list(await tx.runs.log(run.run_id, after, limit))


async def test_a_log_is_read_from_any_number_as_it_was_appended(transactions: DatabaseTransactions) -> None:
    run, _ = await opened(transactions)
    mixed: tuple[ChatEvent, ...] = (ReasoningText("hm"), AnswerDelta(""), AnswerDelta("\x00🙂"), AnswerDelta("!"))
    unseen = (TurnFinished(FinishReason.STOP),)
    pieces = [
        piece(run.run_id, 1, "a", "b", "c"),
        LogPiece(run.run_id, tuple(Recorded(4 + index, index, event, unseen) for index, event in enumerate(mixed))),
        piece(run.run_id, 10_000_007, "far"),
    ]
    for one in pieces:
        assert await append(transactions, one) == {run.run_id: False}
    whole = [event for one in pieces for event in one.events]
    for after in (0, 1, 2, 3, 4, 6, 7, 8, 10_000_006, 10_000_007, 2**31 - 1):
        assert await log_of(transactions, run, after) == [one for one in whole if one.seq > after]
    assert await log_of(transactions, run, 1, limit=1) == whole[1:3]
    assert await log_of(transactions, run, 3, limit=1) == whole[3:7]
    async with transactions.autocommit() as tx:
        assert (await tx.runs.get(run.run_id, owner=run.user_id)).last_seq == 10_000_007
        assert await tx.runs.log(RunId("unknown"), 0, 9) == []


async def test_what_many_runs_said_is_one_statement_on_a_server(
    transactions: DatabaseTransactions, statements: list[str]
) -> None:
    runs = [(await opened(transactions))[0] for _ in range(50)]
    pieces = [piece(run.run_id, 1, *(f"{number} " for number in range(10))) for run in runs]
    statements.clear()
    assert await append(transactions, *pieces) == {run.run_id: False for run in runs}
    assert len(statements) == (1 if transactions.database.dialect == "postgresql" else 2)
    for run, one in zip(runs, pieces, strict=True):
        assert await log_of(transactions, run) == list(one.events)


async def test_a_piece_that_is_there_stays_as_it_is(transactions: DatabaseTransactions) -> None:
    run, answer = await opened(transactions)
    first = piece(run.run_id, 1, "a", "b")
    for one in (first, first, piece(run.run_id, 1, "x", "y", "z")):
        assert await append(transactions, one) == {run.run_id: False}
    async with transactions.autocommit() as tx:
        rest = piece(run.run_id, 3, "c")
        assert await tx.runs.close(finished(answer), [piece(run.run_id, 1, "q"), rest], owner=run.user_id)
    assert await log_of(transactions, run) == [*first.events, *rest.events]


async def test_runs_that_were_closed_or_removed_get_nothing_and_others_their_part(
    transactions: DatabaseTransactions,
) -> None:
    closed, answer = await opened(transactions)
    removed, _ = await opened(transactions)
    stopped, _ = await opened(transactions)
    alive, _ = await opened(transactions)
    async with transactions.autocommit() as tx:
        assert await tx.runs.append([]) == {}
        assert await tx.runs.close(finished(answer), (), owner=closed.user_id)
        await tx.users.remove(removed.user_id)
        await tx.runs.request_stop(stopped.run_id)
    everyone = [piece(run.run_id, 1, "a") for run in (closed, removed, stopped, alive)]
    assert await append(transactions, *everyone) == {stopped.run_id: True, alive.run_id: False}
    assert await append(transactions, piece(closed.run_id, 1, "a")) == {}
    assert [len(await log_of(transactions, run)) for run in (closed, removed, stopped, alive)] == [0, 0, 1, 1]


async def test_a_piece_and_the_end_at_the_same_moment(transactions: DatabaseTransactions) -> None:
    """The piece is there and was acknowledged, or it is not and was refused."""
    for _ in range(12):
        run, answer = await opened(transactions)

        async def close(answer: Answer = answer, owner: UserId = run.user_id) -> bool:
            async with transactions.autocommit() as tx:
                return await tx.runs.close(finished(answer), [piece(answer.run_id, 9, "end")], owner=owner)

        taken, won = await asyncio.gather(append(transactions, piece(run.run_id, 1, "a")), close())
        assert won
        assert [one.seq for one in await log_of(transactions, run)] == ([1, 9] if taken else [9])


async def test_whoever_holds_an_abandoned_run_sees_its_whole_log(transactions: DatabaseTransactions) -> None:
    run, answer = await opened(transactions)
    await append(transactions, piece(run.run_id, 1, "a"))
    async with transactions.begin() as tx:
        assert await tx.runs.hold_abandoned(run.run_id, seconds(31))
        late = asyncio.create_task(append(transactions, piece(run.run_id, 2, "late")))
        await asyncio.sleep(0.05)
        assert not late.done()
        assert len(await tx.runs.log(run.run_id, 0, 9)) == 1
        assert await tx.runs.close(finished(answer), [piece(run.run_id, 9, "end")], owner=run.user_id)
    assert await late == {}
    assert [one.seq for one in await log_of(transactions, run)] == [1, 9]


@pytest.fixture
async def server(postgres_url: str) -> AsyncIterator[DatabaseTransactions]:
    opened_there = DatabaseTransactions.open(postgres_url)
    yield opened_there
    await opened_there.aclose()


@pytest.fixture
async def other_connection(postgres_url: str) -> AsyncIterator["asyncpg.Connection[Any]"]:
    connection = await asyncpg.connect(postgres_url)
    yield connection
    await connection.close()


@pytest.mark.parametrize("outcome", ["COMMIT", "ROLLBACK"])
async def test_a_piece_waits_for_who_is_closing_its_run_and_others_are_stored(
    server: DatabaseTransactions, other_connection: "asyncpg.Connection[Any]", outcome: str
) -> None:
    (closing, _), (alive, _) = await opened(server), await opened(server)
    await other_connection.execute("BEGIN")
    await other_connection.execute("UPDATE runs SET closed_at = now() WHERE run_id = $1", closing.run_id)
    pieces = [piece(run.run_id, 1, "a") for run in (closing, alive)]
    appending = asyncio.create_task(append(server, *pieces))
    await asyncio.sleep(0.2)
    assert not appending.done()
    await other_connection.execute(outcome)
    kept = {closing.run_id, alive.run_id} if outcome == "ROLLBACK" else {alive.run_id}
    assert (await appending).keys() == kept
    assert {run.run_id for run in (closing, alive) if await log_of(server, run)} == kept


async def test_listeners_hear_which_logs_grew_or_ended_and_who_was_asked_to_stop(
    server: DatabaseTransactions, other_connection: "asyncpg.Connection[Any]"
) -> None:
    heard: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
    for channel in (LOG_CHANNEL, STOP_CHANNEL):
        await other_connection.add_listener(channel, lambda _c, _pid, on, said: heard.put_nowait((on, said)))
    (one, answer), (two, _) = await opened(server), await opened(server)
    await append(server, piece(one.run_id, 1, "a"), piece(two.run_id, 1, "a"))
    assert await asyncio.wait_for(heard.get(), PATIENCE) == (LOG_CHANNEL, f"{one.run_id},{two.run_id}")
    async with server.autocommit() as tx:
        await tx.runs.request_stop(two.run_id)
        assert await asyncio.wait_for(heard.get(), PATIENCE) == (STOP_CHANNEL, two.run_id)
        await tx.runs.request_stop(RunId("unknown"))
        assert await tx.runs.close(finished(answer), (), owner=one.user_id)
        assert not await tx.runs.close(finished(answer, "other"), (), owner=one.user_id)
        assert await asyncio.wait_for(heard.get(), PATIENCE) == (LOG_CHANNEL, one.run_id)
        await tx.runs.request_stop(one.run_id)
        await tx.runs.request_stop(two.run_id)
        assert await asyncio.wait_for(heard.get(), PATIENCE) == (STOP_CHANNEL, two.run_id)


async def test_word_of_more_runs_than_one_notice_holds_comes_in_several(
    server: DatabaseTransactions, other_connection: "asyncpg.Connection[Any]"
) -> None:
    ids = [f"{number:026}" for number in range(1000)]
    words = words_of(ids)
    assert ",".join(words).split(",") == ids
    assert len(words) == 4
    assert max(len(one) for one in words) < 8000
    heard: asyncio.Queue[str] = asyncio.Queue()
    await other_connection.add_listener(LOG_CHANNEL, lambda _c, _pid, _on, said: heard.put_nowait(said))
    await append(server, *(piece(one, 1, "a") for one in ids))
    assert [await asyncio.wait_for(heard.get(), PATIENCE) for _ in words] == words
