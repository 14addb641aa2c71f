"""Messages, as their owner reads and rates them."""

from dataclasses import replace

import pytest

from adapters.database.transactions import DatabaseTransactions
from application.paging import Window
from domain.errors import NotFound, Unauthenticated
from domain.ids import DialogId, MessageId
from domain.messages import Feedback
from stored import DIALOG, NOBODY, exchange, registered, with_dialog


async def test_the_history_of_no_dialog_is_not_found(transactions: DatabaseTransactions) -> None:
    owner, other = await with_dialog(transactions), await registered(transactions)
    await exchange(transactions, owner)
    async with transactions.autocommit() as tx:
        assert await tx.messages.recent(DIALOG, 5, owner=other) == []
        for dialog_id, reader in ((DialogId("unknown"), owner), (DIALOG, other)):
            with pytest.raises(NotFound):
                await tx.messages.history(dialog_id, Window(), owner=reader)


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
