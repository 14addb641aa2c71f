"""Messages, as their owner reads and rates them."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.database.transactions import DatabaseTransactions
from application.paging import Window
from domain.dialogs.messages import Exchange, Feedback
from domain.dialogs.past import MOST_BYTES, Past
from domain.errors import NotFound, Unauthenticated
from domain.files.files import LONGEST_NAME, Attachment, FileKind, parse_file_name
from domain.ids import DialogId, MessageId
from stored import (
    DIALOG,
    NOBODY,
    NOW,
    attachment,
    close,
    dialog,
    exchange,
    finished,
    open_answer,
    question,
    registered,
    run_of,
    seconds,
    stored_file,
    with_dialog,
)

ATTACHMENTS = st.lists(
    st.builds(
        attachment,
        name=st.text(st.characters(), max_size=2 * LONGEST_NAME).map(parse_file_name),
        kind=st.sampled_from(FileKind),
        size=st.integers(0, 2**53),
    ),
    max_size=4,
).map(tuple)


async def test_the_history_of_no_dialog_is_not_found(transactions: DatabaseTransactions) -> None:
    owner, other = await with_dialog(transactions), await registered(transactions)
    await exchange(transactions, owner)
    async with transactions.autocommit() as tx:
        assert await tx.messages.past(DIALOG, 5, MOST_BYTES, owner=other) == Past()
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
            tx.messages.past(DIALOG, 5, MOST_BYTES, owner=NOBODY),
            tx.messages.get(MessageId("m"), owner=NOBODY),
        ):
            with pytest.raises(Unauthenticated):
                await refused


async def asked_with(
    transactions: DatabaseTransactions, dialog_id: str, attachments: tuple[Attachment, ...], *, new: bool = True
) -> None:
    """A question with attachments and its answer are read back as they were stored, in each of the three ways."""
    owner = await registered(transactions) if new else await with_dialog(transactions, dialog_id)
    asked, answer = question(dialog_id, attachments=attachments), open_answer(dialog_id)
    made = dialog(owner, dialog_id) if new else None
    async with transactions.autocommit() as tx:
        await tx.runs.open(run_of(answer, owner), asked, answer, dialog=made)
        assert await tx.messages.history(asked.dialog_id, Window(), owner=owner) == [asked, answer]
        assert await close(transactions, finished(answer), owner)
        assert await tx.messages.get(asked.message_id, owner=owner) == asked
        assert await tx.messages.get(answer.message_id, owner=owner) == finished(answer)
        said = Exchange(asked.content, finished(answer).content, (), attachments)
        assert await tx.messages.past(asked.dialog_id, 5, MOST_BYTES, owner=owner) == Past((said,))


@settings(max_examples=25)
@given(attachments=ATTACHMENTS, new=st.booleans())
async def test_a_question_keeps_its_attachments(
    transactions: DatabaseTransactions, attachments: tuple[Attachment, ...], new: bool
) -> None:
    await asked_with(transactions, DIALOG, attachments, new=new)


async def test_each_question_has_its_own_attachments(transactions: DatabaseTransactions) -> None:
    owner = await with_dialog(transactions)
    carried = [(), (attachment(), attachment(name="b.md", kind=FileKind.MARKDOWN)), (), (attachment(size=0),)]
    for number, attachments in enumerate(carried):
        asked, answer = question(content=f"q{number}", attachments=attachments), open_answer()
        async with transactions.autocommit() as tx:
            await tx.runs.open(run_of(answer, owner), asked, answer)
        assert await close(transactions, finished(answer, f"a{number}"), owner)
    async with transactions.autocommit() as tx:
        past = await tx.messages.past(DIALOG, 3, MOST_BYTES, owner=owner)
    said = [Exchange(f"q{n}", f"a{n}", (), attachments) for n, attachments in enumerate(carried)]
    assert past == Past(tuple(said[1:]), before=1)


@pytest.mark.parametrize("carried", [0, 3])
async def test_attachments_cost_no_statement(
    transactions: DatabaseTransactions, statements: list[str], carried: int
) -> None:
    owner, answer = await with_dialog(transactions), open_answer()
    asked = question(attachments=tuple(attachment() for _ in range(carried)))
    statements.clear()
    async with transactions.autocommit() as tx:
        await tx.runs.open(run_of(answer, owner), asked, answer)
        assert len(statements) == (1 if transactions.database.dialect == "postgresql" else 2)
        for read in (
            tx.messages.history(DIALOG, Window(), owner=owner),
            tx.messages.past(DIALOG, 5, MOST_BYTES, owner=owner),
            tx.messages.get(asked.message_id, owner=owner),
        ):
            statements.clear()
            await read
            assert len(statements) == 1


async def test_attachments_outlive_their_files(transactions: DatabaseTransactions) -> None:
    owner, answer = await with_dialog(transactions), open_answer()
    file = stored_file(owner)
    asked = question(attachments=(file.attachment,))
    async with transactions.autocommit() as tx:
        await tx.files.add(file)
        await tx.runs.open(run_of(answer, owner), asked, answer)
        await tx.files.remove(file.file_id, NOW, owner=owner)
        await tx.files.emptied([file.file_id])
        assert await tx.files.forget(seconds(1), 9) == 1
        assert await tx.messages.get(asked.message_id, owner=owner) == asked
