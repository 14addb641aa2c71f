"""A connection that breaks: reads come again, no write is done twice or forgotten. On Postgres: files do not break."""

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from sqlalchemy import event

from adapters.database.transactions import DatabaseTransactions
from application.paging import Window
from domain.dialogs.messages import Feedback
from domain.errors import Conflict, Unavailable
from domain.files.documents import ParsedDocument
from domain.ids import DialogId, UserId
from domain.runs.runs import Idempotency, RunStatus
from stored import (
    DIALOG,
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
    stored_file,
    uploaded,
    with_dialog,
)


class Breaking:
    """Breaks the connection under the next statements that contain `text`: after they ran, or before they are sent."""

    def __init__(self, transactions: DatabaseTransactions) -> None:
        self.engine = transactions.database.writer
        self.text = ""
        self.after = 0
        self.before = 0
        self.tries = 0
        event.listen(self.engine, "before_cursor_execute", self._before)
        event.listen(self.engine, "after_cursor_execute", self._after)

    def at(self, text: str, *, after: int = 0, before: int = 0) -> None:
        self.text, self.after, self.before, self.tries = text, after, before, 0

    def _before(self, connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if self.text and self.text in statement:
            self.tries += 1
            if self.before:
                self.before -= 1
                connection.connection.driver_connection.terminate()

    def _after(self, connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if self.after and self.text in statement:
            self.after -= 1
            connection.connection.driver_connection.terminate()
            lost = asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")
            raise self.engine.dialect.loaded_dbapi.Error(str(lost), lost)


@pytest.fixture
async def transactions(postgres_url: str) -> AsyncIterator[DatabaseTransactions]:
    opened = DatabaseTransactions.open(postgres_url, pool_size=2)
    yield opened
    await opened.aclose()


@pytest.fixture
def breaking(transactions: DatabaseTransactions) -> Breaking:
    return Breaking(transactions)


async def asked_in(transactions: DatabaseTransactions, owner: UserId, dialog_id: str) -> None:
    asked, answer = question(dialog_id), open_answer(dialog_id)
    run = run_of(answer, owner)
    made = None if dialog_id == DIALOG else dialog(owner, dialog_id)
    async with transactions.autocommit() as tx:
        await tx.runs.open(run, asked, answer, dialog=made)
        assert await tx.messages.history(DialogId(dialog_id), Window(), owner=owner) == [asked, answer]


@pytest.mark.parametrize("dialog_id", [DIALOG, "new"])
@pytest.mark.parametrize("lost", [{"after": 1}, {"before": 1}])
async def test_a_question_whose_acknowledgement_was_lost_is_asked_once(
    transactions: DatabaseTransactions, breaking: Breaking, dialog_id: str, lost: dict[str, int]
) -> None:
    owner = await with_dialog(transactions)
    breaking.at("INSERT INTO messages", **lost)
    await asked_in(transactions, owner, dialog_id)
    assert breaking.tries == 2


async def test_a_busy_dialog_is_busy_even_if_the_connection_breaks_twice(
    transactions: DatabaseTransactions, breaking: Breaking
) -> None:
    owner = await with_dialog(transactions)
    await asked_in(transactions, owner, DIALOG)
    breaking.at("INSERT INTO messages", before=1)
    with pytest.raises(Conflict) as refused:
        await asked_in(transactions, owner, DIALOG)
    assert refused.value.code == "dialog_busy"
    other = await with_dialog(transactions)
    breaking.at("INSERT INTO messages", after=2)
    await asked_in(transactions, other, DIALOG)


async def test_an_answer_whose_acknowledgement_was_lost_is_closed(
    transactions: DatabaseTransactions, breaking: Breaking
) -> None:
    owner = await with_dialog(transactions)
    answer = open_answer()
    async with transactions.autocommit() as tx:
        await tx.runs.open(run_of(answer, owner), question(), answer)
        breaking.at("UPDATE messages", after=1)
        assert await tx.runs.close(full_answer(answer), (), owner=owner)
        assert breaking.tries == 2
        assert not await tx.runs.close(finished(answer), (), owner=owner)
        assert await tx.messages.get(answer.message_id, owner=owner) == full_answer(answer)


async def test_an_answer_is_closed_by_the_next_call_when_both_tries_were_lost(
    transactions: DatabaseTransactions, breaking: Breaking
) -> None:
    owner = await with_dialog(transactions)
    answer = open_answer()
    async with transactions.autocommit() as tx:
        await tx.runs.open(run_of(answer, owner), question(), answer)
        breaking.at("UPDATE messages", after=2)
        with pytest.raises(Unavailable):
            await tx.runs.close(finished(answer), (), owner=owner)
        assert await tx.runs.close(finished(answer), (), owner=owner)


@pytest.mark.parametrize("lost", [{"after": 1}, {"before": 1}])
async def test_a_run_that_was_stored_with_its_acknowledgement_lost_keeps_its_key(
    transactions: DatabaseTransactions, breaking: Breaking, lost: dict[str, int]
) -> None:
    owner, answer = await with_dialog(transactions), open_answer()
    run = run_of(answer, owner, idempotency=Idempotency("key", "digest"))
    breaking.at("INSERT INTO messages", **lost)
    async with transactions.autocommit() as tx:
        await tx.runs.open(run, question(), answer)
        assert await tx.runs.by_key("key", owner=owner) == run
    assert breaking.tries == 2


@pytest.mark.parametrize("lost", [{"after": 1}, {"before": 1}])
async def test_a_piece_whose_acknowledgement_was_lost_is_there_once(
    transactions: DatabaseTransactions, breaking: Breaking, lost: dict[str, int]
) -> None:
    owner, answer = await with_dialog(transactions), open_answer()
    said = piece(answer.run_id, 1, "a", "b")
    async with transactions.autocommit() as tx:
        await tx.runs.open(run_of(answer, owner), question(), answer)
        breaking.at("INSERT INTO run_log", **lost)
        assert await tx.runs.append([said]) == {answer.run_id: False}
        assert breaking.tries == 2
        assert await tx.runs.log(answer.run_id, 0, 9) == list(said.events)


async def test_a_piece_lost_twice_is_unavailable_and_may_come_again(
    transactions: DatabaseTransactions, breaking: Breaking
) -> None:
    owner, answer = await with_dialog(transactions), open_answer()
    said = piece(answer.run_id, 1, "a", "b")
    async with transactions.autocommit() as tx:
        await tx.runs.open(run_of(answer, owner), question(), answer)
        breaking.at("INSERT INTO run_log", after=2)
        with pytest.raises(Unavailable):
            await tx.runs.append([said])
        assert await tx.runs.append([said]) == {answer.run_id: False}
        assert await tx.runs.log(answer.run_id, 0, 9) == list(said.events)


@pytest.mark.parametrize("lost", [{"after": 1}, {"before": 1}])
async def test_what_may_be_said_twice_is_said_again(
    transactions: DatabaseTransactions, breaking: Breaking, lost: dict[str, int]
) -> None:
    owner, answer = await with_dialog(transactions), open_answer()
    ids = [answer.run_id]
    async with transactions.autocommit() as tx:
        await tx.runs.open(run_of(answer, owner), question(), answer)
        for said in (
            lambda: tx.runs.begun(ids),
            lambda: tx.runs.renew(ids, seconds(60)),
            lambda: tx.runs.follow(answer.run_id, seconds(9)),
            lambda: tx.runs.request_stop(answer.run_id),
            lambda: tx.runs.release_key(answer.run_id),
        ):
            breaking.at("UPDATE runs", **lost)
            await said()
            assert breaking.tries == 2
        run = await tx.runs.get(answer.run_id, owner=owner)
    assert (run.status, run.lease_until, run.followed_until) == (RunStatus.RUNNING, seconds(60), seconds(9))
    assert run.stop_requested


async def test_a_write_that_may_have_run_is_not_done_again(
    transactions: DatabaseTransactions, breaking: Breaking
) -> None:
    owner = await with_dialog(transactions)
    _, answer = await exchange(transactions, owner)
    breaking.at("UPDATE messages", after=1)
    async with transactions.autocommit() as tx:
        with pytest.raises(Unavailable) as refused:
            await tx.messages.rate(answer.message_id, Feedback.LIKE, owner=owner)
        assert (refused.value.code, breaking.tries) == ("database_unavailable", 1)
        breaking.at("UPDATE messages", before=1)
        await tx.messages.rate(answer.message_id, Feedback.DOWN, owner=owner)
        assert breaking.tries == 2


async def test_reads_and_the_first_statement_of_a_transaction_come_again(
    transactions: DatabaseTransactions, breaking: Breaking
) -> None:
    owner = await registered(transactions)
    breaking.at("FROM users", after=1)
    async with transactions.autocommit() as tx:
        assert (await tx.users.get(owner)).user_id == owner
    breaking.at("INSERT INTO users", after=1)
    await registered(transactions, "Ann")
    assert breaking.tries == 2


@pytest.mark.parametrize("lost", [{"after": 1}, {"before": 1}])
async def test_a_file_whose_acknowledgement_was_lost_is_there_once(
    transactions: DatabaseTransactions, breaking: Breaking, lost: dict[str, int]
) -> None:
    owner = await registered(transactions)
    one = stored_file(owner)
    breaking.at("INSERT INTO files", **lost)
    async with transactions.autocommit() as tx:
        await tx.files.add(one)
        assert breaking.tries == 2
        assert await tx.files.list(Window(), owner=owner) == [one]


async def test_a_file_that_was_lost_twice_may_come_again(
    transactions: DatabaseTransactions, breaking: Breaking
) -> None:
    owner = await registered(transactions)
    one = stored_file(owner)
    breaking.at("INSERT INTO files", after=2)
    async with transactions.autocommit() as tx:
        with pytest.raises(Unavailable):
            await tx.files.add(one)
        await tx.files.add(one)
        assert await tx.files.list(Window(), owner=owner) == [one]


async def test_a_removal_that_may_have_happened_is_not_told_as_not_found(
    transactions: DatabaseTransactions, breaking: Breaking
) -> None:
    owner = await registered(transactions)
    one = await uploaded(transactions, owner)
    breaking.at("UPDATE files", after=1)
    async with transactions.autocommit() as tx:
        with pytest.raises(Unavailable):
            await tx.files.remove(one.file_id, NOW, owner=owner)
        assert breaking.tries == 1
        assert await tx.files.removed(9) == [one.file_id]


@pytest.mark.parametrize("lost", [{"after": 1}, {"before": 1}])
async def test_the_upkeep_of_files_goes_on_when_a_connection_breaks(
    transactions: DatabaseTransactions, breaking: Breaking, lost: dict[str, int]
) -> None:
    owner = await registered(transactions)
    one = await uploaded(transactions, owner)
    async with transactions.autocommit() as tx:
        await tx.files.remove(one.file_id, NOW, owner=owner)
        for text, step in (
            ("INSERT INTO readings", lambda: tx.readings.put(one.sha256, "p", ParsedDocument("text"))),
            ("UPDATE files", lambda: tx.files.emptied([one.file_id])),
            ("DELETE FROM files", lambda: tx.files.forget(seconds(9), 9)),
            ("DELETE FROM readings", lambda: tx.readings.remove_unused(9)),
        ):
            breaking.at(text, **lost)
            await step()
            assert breaking.tries == 2
        assert await tx.files.known([one.file_id]) == frozenset()
        assert await tx.readings.get([one.sha256], "p") == {}
