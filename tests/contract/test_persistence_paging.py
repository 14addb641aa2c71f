"""Pages: put together they are the whole list, also while objects come and go."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.database.transactions import DatabaseTransactions
from application.paging import Page, Position, Window
from domain.dialogs.dialogs import Dialog
from domain.dialogs.messages import Message
from domain.ids import DialogId, UserId, new_id
from stored import (
    DIALOG,
    agent,
    api_key,
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

# Few different moments, so that many objects share one and the id decides.
MOMENTS = st.lists(st.integers(0, 3), max_size=12)
LIMITS = st.integers(1, 5)


async def pages(
    read: Callable[[Window], Awaitable[Sequence[Any]]], limit: int, position: Callable[[Any], Position]
) -> list[Any]:
    """Every page's items, walking by the cursors that clients get."""
    found: list[Any] = []
    cursor: str | None = None
    while True:
        window = Window.parse(limit, cursor)
        page = Page.cut(await read(window), window, position)
        assert len(page.items) <= limit
        found += page.items
        if page.next_cursor is None:
            return found
        assert len(page.items) == limit
        cursor = page.next_cursor


def of_message(message: Message) -> Position:
    return Position(message.created_at, message.message_id)


def of_dialog(one: Dialog) -> Position:
    return Position(one.created_at, one.dialog_id)


@settings(max_examples=20)
@given(moments=MOMENTS, limit=LIMITS)
async def test_pages_of_agents_are_the_whole_list(
    transactions: DatabaseTransactions, moments: list[int], limit: int
) -> None:
    owner = await registered(transactions)
    made = [agent(owner, f"a{number}", created_at=seconds(at)) for number, at in enumerate(moments)]
    async with transactions.begin() as tx:
        for one in made:
            await tx.agents.add(one)
        whole = await tx.agents.list(Window(), owner=owner)
        assert await tx.agents.list(Window(), owner=owner, name_part="a") == whole
        paged = await pages(
            lambda window: tx.agents.list(window, owner=owner),
            limit,
            lambda one: Position(one.created_at, one.agent_id),
        )
    assert paged == whole
    assert whole[:-1] == sorted(made, key=lambda one: (one.created_at, one.agent_id), reverse=True)
    assert whole[-1].user_id is None


@settings(max_examples=15)
@given(moments=MOMENTS, limit=LIMITS)
async def test_pages_of_dialogs_and_keys_are_the_whole_list(
    transactions: DatabaseTransactions, moments: list[int], limit: int
) -> None:
    owner = await registered(transactions)
    async with transactions.begin() as tx:
        for number, at in enumerate(moments):
            await tx.dialogs.add(dialog(owner, f"d{number}", created_at=seconds(at)))
            await tx.api_keys.add(api_key(owner, created_at=seconds(at)))
        dialogs = await tx.dialogs.list(Window(), owner=owner)
        assert len(dialogs) == len(moments)
        assert [one.created_at for one in dialogs] == sorted((seconds(at) for at in moments), reverse=True)
        assert await pages(lambda window: tx.dialogs.list(window, owner=owner), limit, of_dialog) == dialogs
        keys = await tx.api_keys.list(Window(), owner=owner)
        assert len(keys) == len(moments)
        assert keys == await pages(
            lambda window: tx.api_keys.list(window, owner=owner),
            limit,
            lambda one: Position(one.created_at, one.api_key_id),
        )


@settings(max_examples=15)
@given(files=st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=12), limit=LIMITS)
async def test_pages_of_files_are_the_whole_list_without_those_that_were_removed(
    transactions: DatabaseTransactions, files: list[tuple[int, bool]], limit: int
) -> None:
    owner, other = await registered(transactions), await registered(transactions)
    kept = []
    async with transactions.begin() as tx:
        for at, removed in files:
            one = stored_file(owner, created_at=seconds(at))
            await tx.files.add(one)
            await tx.files.add(stored_file(other, created_at=seconds(at)))
            if removed:
                await tx.files.remove(one.file_id, seconds(9), owner=owner)
            else:
                kept.append(one)
        whole = await tx.files.list(Window(), owner=owner)
        paged = await pages(
            lambda window: tx.files.list(window, owner=owner),
            limit,
            lambda one: Position(one.created_at, one.file_id),
        )
    assert whole == sorted(kept, key=lambda one: (one.created_at, one.file_id), reverse=True)
    assert paged == whole


@settings(max_examples=15)
@given(clocks=st.lists(st.integers(-5, 5), max_size=6), limit=LIMITS)
async def test_pages_of_a_history_are_the_whole_history(
    transactions: DatabaseTransactions, clocks: list[int], limit: int
) -> None:
    owner = await with_dialog(transactions)
    expected: list[str] = []
    async with transactions.begin() as tx:
        for number, at in enumerate(clocks):
            asked, answer = question(created_at=seconds(at)), open_answer(created_at=seconds(-at))
            await tx.runs.open(run_of(answer, owner), asked, answer)
            await tx.runs.close(finished(answer, f"a{number}"), (), owner=owner)
            expected += [asked.message_id, answer.message_id]
    async with transactions.autocommit() as tx:
        paged = await pages(lambda window: tx.messages.history(DIALOG, window, owner=owner), limit, of_message)
    assert [one.message_id for one in paged] == expected


@settings(max_examples=15)
@given(limit=LIMITS, changes=st.lists(st.tuples(st.booleans(), st.integers(0, 9)), max_size=8))
async def test_nothing_is_skipped_or_shown_twice_while_dialogs_come_and_go(
    transactions: DatabaseTransactions, limit: int, changes: list[tuple[bool, int]]
) -> None:
    owner = await registered(transactions)
    stays = {f"d{number}" for number in range(10)}
    async with transactions.begin() as tx:
        for number in range(10):
            await tx.dialogs.add(dialog(owner, f"d{number}", created_at=seconds(number)))
    pending = list(changes)

    async def read_and_change(window: Window) -> Sequence[Dialog]:
        async with transactions.autocommit() as tx:
            rows = await tx.dialogs.list(window, owner=owner)
        if pending:
            await change(transactions, owner, stays, *pending.pop())
        return rows

    found = [one.dialog_id for one in await pages(read_and_change, limit, of_dialog)]
    assert len(found) == len(set(found))
    assert stays <= set(found)


async def change(transactions: DatabaseTransactions, owner: UserId, stays: set[str], comes: bool, number: int) -> None:
    async with transactions.begin() as tx:
        if comes:
            await tx.dialogs.add(dialog(owner, new_id(), created_at=seconds(100 + number)))
        elif f"d{number}" in stays:
            stays.discard(f"d{number}")
            await tx.dialogs.remove(DialogId(f"d{number}"), owner=owner)


async def test_an_unknown_cursor_shows_nothing_foreign(transactions: DatabaseTransactions) -> None:
    owner, other = await with_dialog(transactions), await with_dialog(transactions)
    await exchange(transactions, owner)
    foreign, _ = await exchange(transactions, other)
    async with transactions.autocommit() as tx:
        whole = await tx.messages.history(DIALOG, Window(), owner=owner)
        assert await tx.messages.history(DIALOG, Window(5, of_message(foreign)), owner=owner) == whole
