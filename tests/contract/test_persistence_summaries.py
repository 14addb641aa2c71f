"""Summaries of dialogs, on both databases: how far they reach, who wins of two, and what is read of a long dialog."""

import pytest

from adapters.database.transactions import DatabaseTransactions
from domain.dialogs.messages import Answer, Exchange
from domain.dialogs.past import MOST_BYTES, Past, Summary
from domain.dialogs.summaries import MOST_FAILURES, REST_EXCHANGES
from domain.errors import Unauthenticated
from domain.files.files import FileKind
from domain.ids import MessageId, UserId
from domain.tools.tools import ToolCall, ToolResult, ToolRound
from stored import (
    DIALOG,
    NOBODY,
    attachment,
    close,
    dialog,
    exchange,
    finished,
    open_answer,
    question,
    run_of,
    with_dialog,
)


async def talked(
    transactions: DatabaseTransactions, exchanges: int, dialog_id: str = DIALOG
) -> tuple[UserId, list[Answer]]:
    owner = await with_dialog(transactions, dialog_id)
    return owner, [(await exchange(transactions, owner, number, dialog_id))[1] for number in range(exchanges)]


async def said(transactions: DatabaseTransactions, owner: UserId, text: str, answer: str, result: str = "") -> None:
    asked, opened = question(content=text), open_answer()
    call, made = ToolCall("c", "fetch", "{}"), ToolResult("c", "fetch", result)
    rounds = (ToolRound("", (call,), (made,)),) if result else ()
    async with transactions.autocommit() as tx:
        await tx.runs.open(run_of(opened, owner), asked, opened)
    assert await close(transactions, finished(opened, answer, rounds=rounds), owner)


async def past(transactions: DatabaseTransactions, owner: UserId, most: int = 50, size: int = MOST_BYTES) -> Past:
    async with transactions.autocommit() as tx:
        return await tx.messages.past(DIALOG, most, size, owner=owner)


def spoken(*numbers: int) -> tuple[Exchange, ...]:
    return tuple(Exchange(f"q{number}", f"a{number}") for number in numbers)


async def test_what_a_summary_covers_is_not_read_again(transactions: DatabaseTransactions) -> None:
    owner, answers = await talked(transactions, 5)
    async with transactions.autocommit() as tx:
        assert await tx.summaries.state(DIALOG, owner=owner) is None
        assert await tx.summaries.want(DIALOG, 3, owner=owner)
        assert await past(transactions, owner) == Past(spoken(0, 1, 2, 3, 4))
        assert await tx.summaries.save(DIALOG, Summary("said \x00 \ud800", 2), 0, answers[1].message_id, owner=owner)
        state = await tx.summaries.state(DIALOG, owner=owner)
        assert state is not None
        assert (state.summary, state.wanted, state.failures) == (Summary("said \ufffd ?", 2), 3, 0)
        found = await tx.summaries.stretch(DIALOG, state, 9, MOST_BYTES, owner=owner)
        assert found == [(answers[2].message_id, Exchange("q2", "a2"))]
    assert await past(transactions, owner) == Past(spoken(2, 3, 4), 2, state.summary)
    assert await past(transactions, owner, most=2) == Past(spoken(3, 4), 3, state.summary)


async def test_reading_and_writing_are_a_statement_each(
    transactions: DatabaseTransactions, statements: list[str]
) -> None:
    owner, answers = await talked(transactions, 3)
    async with transactions.autocommit() as tx:
        await tx.summaries.want(DIALOG, 2, owner=owner)
        state = await tx.summaries.state(DIALOG, owner=owner)
        assert state is not None
        for work in (
            tx.messages.past(DIALOG, 50, MOST_BYTES, owner=owner),
            tx.summaries.want(DIALOG, 2, owner=owner),
            tx.summaries.state(DIALOG, owner=owner),
            tx.summaries.stretch(DIALOG, state, 9, 100, owner=owner),
            tx.summaries.failed(DIALOG, 0, owner=owner),
            tx.summaries.save(DIALOG, Summary("x", 1), 0, answers[0].message_id, owner=owner),
        ):
            statements.clear()
            await work
            assert len([one for one in statements if not one.startswith("BEGIN")]) == 1, statements


async def test_of_two_who_sum_up_at_once_the_first_wins(transactions: DatabaseTransactions) -> None:
    owner, answers = await talked(transactions, 4)
    async with transactions.autocommit() as tx:
        await tx.summaries.want(DIALOG, 3, owner=owner)
        assert await tx.summaries.save(DIALOG, Summary("first", 2), 0, answers[1].message_id, owner=owner)
        assert not await tx.summaries.save(DIALOG, Summary("second", 3), 0, answers[2].message_id, owner=owner)
        assert not await tx.summaries.save(DIALOG, Summary("back", 1), 2, answers[0].message_id, owner=owner)
        assert await tx.summaries.save(DIALOG, Summary("third", 3), 2, answers[2].message_id, owner=owner)
    assert (await past(transactions, owner)).summary == Summary("third", 3)


async def test_a_dialog_made_anew_under_the_same_id_gets_no_summary_of_the_old_one(
    transactions: DatabaseTransactions,
) -> None:
    owner, old = await talked(transactions, 3)
    async with transactions.autocommit() as tx:
        await tx.summaries.want(DIALOG, 2, owner=owner)
        await tx.dialogs.remove(DIALOG, owner=owner)
        assert await tx.summaries.state(DIALOG, owner=owner) is None
        assert not await tx.summaries.want(DIALOG, 2, owner=owner)
        await tx.dialogs.add(dialog(owner))
        for number in range(3):
            await exchange(transactions, owner, number)
        assert await tx.summaries.want(DIALOG, 2, owner=owner)
        assert not await tx.summaries.save(DIALOG, Summary("old", 2), 0, old[1].message_id, owner=owner)
        state = await tx.summaries.state(DIALOG, owner=owner)
        assert state is not None
        assert state.summary == Summary("", 0)


async def test_a_summary_goes_with_its_account(transactions: DatabaseTransactions) -> None:
    owner, answers = await talked(transactions, 2)
    other, _ = await talked(transactions, 2)
    async with transactions.autocommit() as tx:
        await tx.summaries.want(DIALOG, 1, owner=owner)
        await tx.summaries.save(DIALOG, Summary("mine", 1), 0, answers[0].message_id, owner=owner)
        assert await tx.summaries.state(DIALOG, owner=other) is None
        assert not await tx.summaries.save(DIALOG, Summary("x", 2), 1, answers[1].message_id, owner=other)
        assert (await past(transactions, other)).summary is None
        await tx.users.remove(owner)
        for refused in (tx.summaries.state(DIALOG, owner=owner), tx.messages.past(DIALOG, 5, 9, owner=NOBODY)):
            with pytest.raises(Unauthenticated):
                await refused
        assert not await tx.summaries.want(DIALOG, 2, owner=owner)
        assert await tx.summaries.failed(DIALOG, 1, owner=owner) == 0


async def test_after_too_many_failures_it_is_left_in_peace_for_a_while(transactions: DatabaseTransactions) -> None:
    owner, answers = await talked(transactions, 2)
    async with transactions.autocommit() as tx:
        assert await tx.summaries.want(DIALOG, 1, owner=owner)
        for count in range(1, MOST_FAILURES + 1):
            assert await tx.summaries.want(DIALOG, 1, owner=owner)
            assert await tx.summaries.failed(DIALOG, 0, owner=owner) == count
        assert not await tx.summaries.want(DIALOG, REST_EXCHANGES, owner=owner)
        assert await tx.summaries.want(DIALOG, 1 + REST_EXCHANGES, owner=owner)
        assert await tx.summaries.failed(DIALOG, 0, owner=owner) == 1
        await tx.summaries.save(DIALOG, Summary("x", 1), 0, answers[0].message_id, owner=owner)
        state = await tx.summaries.state(DIALOG, owner=owner)
        assert state is not None
        assert (state.wanted, state.failures) == (1 + REST_EXCHANGES, 0)


async def test_of_heavy_exchanges_the_newest_are_read_and_first_without_their_rounds(
    transactions: DatabaseTransactions,
) -> None:
    owner = await with_dialog(transactions)
    await said(transactions, owner, "one", "x" * 500)
    await said(transactions, owner, "two", "x" * 300, "result " * 100)
    await said(transactions, owner, "three", "x" * 300, "result " * 100)
    await said(transactions, owner, "four", "x" * 5000)
    await said(transactions, owner, "five", "x" * 100)
    heavy = await past(transactions, owner, size=1000)
    assert ([one.question for one in heavy.exchanges], heavy.before) == (["five"], 4)
    some = await past(transactions, owner, size=6000)
    assert ([one.question for one in some.exchanges], some.before) == (["one", "two", "three", "four", "five"][1:], 1)
    assert [bool(one.rounds) for one in some.exchanges] == [True, True, False, False]
    lighter = await past(transactions, owner, size=5700)
    assert [one.question for one in lighter.exchanges] == ["three", "four", "five"]
    assert [one.question for one in (await past(transactions, owner, size=0)).exchanges] == ["five"]


async def test_the_rounds_of_an_exchange_may_be_too_heavy(transactions: DatabaseTransactions) -> None:
    owner = await with_dialog(transactions)
    await said(transactions, owner, "one", "1", "result " * 10)
    await said(transactions, owner, "two", "2", "result " * 1000)
    await said(transactions, owner, "three", "3")
    found = await past(transactions, owner, size=2000)
    assert [(one.question, one.rounds) for one in found.exchanges] == [("one", ()), ("two", ()), ("three", ())]
    async with transactions.autocommit() as tx:
        await tx.summaries.want(DIALOG, 2, owner=owner)
        state = await tx.summaries.state(DIALOG, owner=owner)
        assert state is not None
        stretch = await tx.summaries.stretch(DIALOG, state, 9, 2000, owner=owner)
        assert [(one.question, bool(one.rounds)) for _, one in stretch] == [("one", True), ("two", False)]
        first = await tx.summaries.stretch(DIALOG, state, 9, 0, owner=owner)
        assert [one.question for _, one in first] == ["one"]


async def test_attachments_are_remembered_beyond_what_is_read(transactions: DatabaseTransactions) -> None:
    owner = await with_dialog(transactions)
    files = [attachment(name=f"{n}.md", kind=FileKind.MARKDOWN) for n in range(5)]
    ids: list[MessageId] = []
    for number, carried in enumerate(((files[0], files[1]), (files[2],), (), (files[3], files[4]))):
        asked, answer = question(content=f"q{number}", attachments=carried), open_answer()
        async with transactions.autocommit() as tx:
            await tx.runs.open(run_of(answer, owner), asked, answer)
        assert await close(transactions, finished(answer, f"a{number}"), owner)
        ids.append(answer.message_id)
    async with transactions.autocommit() as tx:
        await tx.summaries.want(DIALOG, 3, owner=owner)
        await tx.summaries.save(DIALOG, Summary("x", 3), 0, ids[2], owner=owner)
    found = await past(transactions, owner)
    assert found.attachments == (files[2], files[0], files[1])
    assert list(found.attached) == [files[3], files[4], files[2], files[0], files[1]]


async def test_an_open_answer_is_not_part_of_the_past(transactions: DatabaseTransactions) -> None:
    owner, _ = await talked(transactions, 2)
    asked, answer = question(), open_answer()
    async with transactions.autocommit() as tx:
        await tx.runs.open(run_of(answer, owner), asked, answer)
    assert await past(transactions, owner) == Past(spoken(0, 1))


async def test_a_long_dialog_is_read_as_a_short_one(transactions: DatabaseTransactions, statements: list[str]) -> None:
    """One statement and no more bytes; the number of exchanges before is known without reading them."""
    owner, _ = await talked(transactions, 60)
    for count in (50, 10):
        statements.clear()
        found = await past(transactions, owner, most=count)
        assert len(statements) == 1
        assert (len(found.exchanges), found.before) == (count, 60 - count)
        assert found.exchanges == spoken(*range(60 - count, 60))


async def test_a_dialog_that_is_deleted_takes_its_summary_along(transactions: DatabaseTransactions) -> None:
    owner, _ = await talked(transactions, 2)
    async with transactions.autocommit() as tx:
        await tx.summaries.want(DIALOG, 1, owner=owner)
        await tx.dialogs.remove(DIALOG, owner=owner)
        assert await tx.summaries.failed(DIALOG, 0, owner=owner) == 0
