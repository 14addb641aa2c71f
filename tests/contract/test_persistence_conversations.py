"""Conversations that programs keep themselves, in the database: found by what was said, their owner's alone."""

import pytest

from adapters.database.transactions import DatabaseTransactions
from application.ports.conversations import KeptAnswer
from domain.dialogs.messages import Answer
from domain.errors import Unauthenticated
from domain.ids import DialogId, MessageId, UserId
from stored import NOBODY, dialog, exchange, full_answer, open_answer, question, registered, run_of, with_dialog

HERE, THERE = DialogId("here"), DialogId("there")


async def answered(transactions: DatabaseTransactions, owner: UserId, dialog_id: DialogId) -> Answer:
    answer = open_answer(dialog_id)
    async with transactions.begin() as tx:
        await tx.runs.open(run_of(answer, owner), question(dialog_id), answer)
        done = full_answer(answer)
        await tx.runs.close(done, [], owner=owner)
    return done


async def test_a_conversation_is_found_where_it_was_told_last(transactions: DatabaseTransactions) -> None:
    owner = await with_dialog(transactions, HERE)
    last = (await answered(transactions, owner, HERE)).content
    async with transactions.begin() as tx:
        await tx.dialogs.add(dialog(owner, THERE))
    async with transactions.autocommit() as tx:
        assert await tx.conversations.find("a", last, owner=owner) is None
        await tx.conversations.told(HERE, "a", owner=owner)
        assert await tx.conversations.find("a", f"\n {last}\t", owner=owner) == HERE
        assert await tx.conversations.find("a", f"{last}!", owner=owner) is None
        await tx.conversations.told(THERE, "a", owner=owner)
        # Nothing was answered there.
        assert await tx.conversations.find("a", last, owner=owner) == HERE
    await answered(transactions, owner, THERE)
    async with transactions.autocommit() as tx:
        assert await tx.conversations.find("a", last, owner=owner) == THERE
        await tx.conversations.told(THERE, "b", owner=owner)
        assert await tx.conversations.find("a", last, owner=owner) == HERE
        assert await tx.conversations.find("b", last, owner=owner) == THERE


async def test_a_conversation_is_found_by_its_last_answer_itself(transactions: DatabaseTransactions) -> None:
    owner, other = await with_dialog(transactions, HERE), await registered(transactions)
    async with transactions.begin() as tx:
        await tx.dialogs.add(dialog(owner, THERE))
    here, there = await answered(transactions, owner, HERE), await answered(transactions, owner, THERE)
    async with transactions.autocommit() as tx:
        assert await tx.conversations.of_answer("a", here.message_id, owner=owner) is None
        for one in (HERE, THERE):
            await tx.conversations.told(one, "a", owner=owner)
        assert await tx.conversations.of_answer("a", here.message_id, owner=owner) == HERE
        assert await tx.conversations.of_answer("a", there.message_id, owner=owner) == THERE
        assert await tx.conversations.of_answer("b", here.message_id, owner=owner) is None
        assert await tx.conversations.of_answer("a", here.message_id, owner=other) is None
        assert await tx.conversations.of_answer("a", MessageId("none"), owner=owner) is None
        with pytest.raises(Unauthenticated):
            await tx.conversations.of_answer("a", here.message_id, owner=NOBODY)
    later = open_answer(HERE)
    async with transactions.autocommit() as tx:
        await tx.runs.open(run_of(later, owner), question(HERE), later)
        await tx.conversations.told(HERE, "a", owner=owner)
        assert await tx.conversations.of_answer("a", here.message_id, owner=owner) is None
        assert await tx.conversations.of_answer("a", later.message_id, owner=owner) is None


async def test_one_that_is_being_answered_is_not_found(transactions: DatabaseTransactions) -> None:
    owner = await with_dialog(transactions, HERE)
    answer = open_answer(HERE)
    async with transactions.autocommit() as tx:
        await tx.runs.open(run_of(answer, owner), question(HERE), answer)
        await tx.conversations.told(HERE, "a", owner=owner)
        assert await tx.conversations.find("a", "", owner=owner) is None


async def test_nobody_finds_another_s_and_a_deleted_account_is_told_so(transactions: DatabaseTransactions) -> None:
    owner, other = await with_dialog(transactions, HERE), await registered(transactions)
    done = await answered(transactions, owner, HERE)
    async with transactions.autocommit() as tx:
        await tx.conversations.told(HERE, "a", owner=owner)
        await tx.conversations.told(HERE, "mine", owner=other)
        assert await tx.conversations.find("a", done.content, owner=other) is None
        assert await tx.conversations.find("mine", done.content, owner=other) is None
        assert await tx.conversations.answers([done.message_id], owner=other) == {}
        with pytest.raises(Unauthenticated):
            await tx.conversations.find("a", done.content, owner=NOBODY)
        with pytest.raises(Unauthenticated):
            await tx.conversations.answers([done.message_id], owner=NOBODY)


async def test_it_goes_with_its_dialog(transactions: DatabaseTransactions) -> None:
    owner = await with_dialog(transactions, HERE)
    done = await answered(transactions, owner, HERE)
    async with transactions.autocommit() as tx:
        await tx.conversations.told(HERE, "a", owner=owner)
        await tx.dialogs.remove(HERE, owner=owner)
        assert await tx.conversations.find("a", done.content, owner=owner) is None
        await tx.conversations.told(HERE, "a", owner=owner)
        await tx.dialogs.add(dialog(owner, HERE))
    await answered(transactions, owner, HERE)
    async with transactions.autocommit() as tx:
        assert await tx.conversations.find("a", done.content, owner=owner) is None


async def test_what_was_said_and_called_comes_of_answers_that_are_there_in_one_statement(
    transactions: DatabaseTransactions, statements: list[str]
) -> None:
    owner = await with_dialog(transactions, HERE)
    asked, _ = await exchange(transactions, owner, 0, HERE)
    done = [await answered(transactions, owner, HERE) for _ in range(2)]
    statements.clear()
    wanted = [*(one.message_id for one in done), asked.message_id, MessageId("none")]
    async with transactions.autocommit() as tx:
        found = await tx.conversations.answers(wanted, owner=owner)
    assert found == {one.message_id: KeptAnswer(one.content, one.rounds, is_open=False) for one in done}
    assert len([one for one in statements if one.lstrip().upper().startswith("SELECT")]) == 1
