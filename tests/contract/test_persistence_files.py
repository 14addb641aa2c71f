"""Files as the database knows them: whose they are, how much there is, and what becomes of those that are gone."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.database.transactions import DatabaseTransactions
from application.paging import Window
from application.ports.persistence import Transaction
from domain.errors import NotFound, Unauthenticated
from domain.files.files import FileKind, Uploaded, parse_file_name
from domain.ids import FileId, new_id
from stored import NOBODY, NOW, registered, seconds, sha256_of, stored_file, uploaded, user

HOUR_AGO = seconds(-3600)


@settings(max_examples=25)
@given(
    name=st.text(st.characters(), max_size=300).map(parse_file_name),
    kind=st.sampled_from(FileKind),
    size=st.integers(0, 2**53),
)
async def test_a_file_comes_back_as_stored(
    transactions: DatabaseTransactions, name: str, kind: FileKind, size: int
) -> None:
    owner = await registered(transactions)
    one = await uploaded(transactions, owner, name=name, kind=kind, size=size, sha256=sha256_of(name))
    async with transactions.autocommit() as tx:
        assert await tx.files.get(one.file_id, owner=owner) == one
        assert await tx.files.signed(one.file_id) == one
        assert await tx.files.these([one.file_id], owner=owner) == [one]
        assert await tx.files.list(Window(), owner=owner) == [one]


async def test_a_file_is_its_owners_alone(transactions: DatabaseTransactions) -> None:
    owner, other = await registered(transactions), await registered(transactions)
    one, theirs = await uploaded(transactions, owner), await uploaded(transactions, other)
    async with transactions.autocommit() as tx:
        for file_id in (one.file_id, FileId(new_id()), FileId(""), FileId("..%2f'\"%")):
            for refused in (tx.files.get(file_id, owner=other), tx.files.remove(file_id, NOW, owner=other)):
                with pytest.raises(NotFound) as refusal:
                    await refused
                assert refusal.value.code == "file_not_found"
        assert await tx.files.list(Window(), owner=other) == [theirs]
        assert await tx.files.these([one.file_id, theirs.file_id], owner=other) == [theirs]
        assert await tx.files.get(one.file_id, owner=owner) == one


async def test_a_deleted_account_has_no_files_and_gets_none(transactions: DatabaseTransactions) -> None:
    async with transactions.autocommit() as tx:
        for refused in (
            tx.files.add(stored_file(NOBODY)),
            tx.files.get(FileId("f"), owner=NOBODY),
            tx.files.list(Window(), owner=NOBODY),
            tx.files.these([FileId("f")], owner=NOBODY),
            tx.files.these([], owner=NOBODY),
            tx.files.uploaded(NOW, owner=NOBODY),
            tx.files.remove(FileId("f"), NOW, owner=NOBODY),
        ):
            with pytest.raises(Unauthenticated) as refusal:
                await refused
            assert refusal.value.code == "account_gone"
        with pytest.raises(NotFound):
            await tx.files.signed(FileId("f"))


async def test_these_are_each_there_once(transactions: DatabaseTransactions) -> None:
    owner = await registered(transactions)
    kept = [await uploaded(transactions, owner) for _ in range(3)]
    gone = await uploaded(transactions, owner)
    wanted = [kept[2].file_id, kept[0].file_id, kept[2].file_id, gone.file_id, FileId("unknown")]
    async with transactions.autocommit() as tx:
        await tx.files.remove(gone.file_id, NOW, owner=owner)
        assert await tx.files.these([], owner=owner) == []
        assert sorted(one.file_id for one in await tx.files.these(wanted, owner=owner)) == sorted(wanted[:2])
        many = [FileId(new_id()) for _ in range(3000)]
        assert await tx.files.these([*many, kept[1].file_id], owner=owner) == [kept[1]]


async def test_adding_a_file_again_changes_nothing(transactions: DatabaseTransactions) -> None:
    owner, other = await registered(transactions), await registered(transactions)
    one = await uploaded(transactions, owner)
    async with transactions.autocommit() as tx:
        for again in (one, replace(one, name="other"), replace(one, user_id=other)):
            await tx.files.add(again)
            assert await tx.files.get(one.file_id, owner=owner) == one
        assert await tx.files.list(Window(), owner=other) == []
        await tx.files.remove(one.file_id, NOW, owner=owner)
        await tx.files.add(one)
        with pytest.raises(NotFound):
            await tx.files.get(one.file_id, owner=owner)


async def test_a_removed_file_is_found_by_the_upkeep_alone(transactions: DatabaseTransactions) -> None:
    owner = await registered(transactions)
    one, kept = await uploaded(transactions, owner), await uploaded(transactions, owner)
    async with transactions.autocommit() as tx:
        await tx.files.remove(one.file_id, seconds(1), owner=owner)
        for refused in (
            tx.files.get(one.file_id, owner=owner),
            tx.files.signed(one.file_id),
            tx.files.remove(one.file_id, seconds(2), owner=owner),
        ):
            with pytest.raises(NotFound):
                await refused
        assert await tx.files.list(Window(), owner=owner) == [kept]
        assert await tx.files.removed(9) == [one.file_id]
        both = [one.file_id, kept.file_id]
        assert await tx.files.known([*both, FileId("unknown")]) == set(both)


async def test_the_upkeep_empties_removed_files_and_then_forgets_them(transactions: DatabaseTransactions) -> None:
    owner = await registered(transactions)
    ids = sorted(FileId(new_id()) for _ in range(6))
    files = [await uploaded(transactions, owner, file_id=one, created_at=seconds(at)) for at, one in enumerate(ids)]
    async with transactions.autocommit() as tx:
        for one in files[:4]:
            await tx.files.remove(one.file_id, seconds(9), owner=owner)
        assert await tx.files.forget(seconds(99), 9) == 0
        assert await tx.files.removed(3) == ids[:3]
        assert [await tx.files.removed(2, one) for one in ids[:4]] == [ids[1:3], ids[2:4], ids[3:4], []]
        await tx.files.emptied([])
        for _ in range(2):
            # Files that are there are never taken for empty, whatever somebody says.
            await tx.files.emptied([*ids[:3], ids[5], FileId("unknown")])
            assert await tx.files.removed(9) == [ids[3]]
        assert await tx.files.forget(seconds(2), 9) == 2
        assert await tx.files.forget(seconds(2), 9) == 0
        assert await tx.files.known(ids) == set(ids[2:])
        assert await tx.files.forget(seconds(99), 9) == 1
        assert await tx.files.known(ids) == set(ids[3:])
        assert await tx.files.get(ids[5], owner=owner) == files[5]
        assert await tx.files.known([]) == frozenset()


async def test_the_oldest_are_forgotten_first_and_no_more_than_asked(transactions: DatabaseTransactions) -> None:
    owner = await registered(transactions)
    files = [await uploaded(transactions, owner, created_at=seconds(-number)) for number in range(5)]
    ids = [one.file_id for one in files]
    async with transactions.autocommit() as tx:
        for file_id in ids:
            await tx.files.remove(file_id, NOW, owner=owner)
        await tx.files.emptied(ids)
        assert await tx.files.forget(seconds(9), 2) == 2
        assert await tx.files.known(ids) == set(ids[:3])


async def test_a_deleted_account_leaves_its_contents_to_be_removed(transactions: DatabaseTransactions) -> None:
    owner, other = await registered(transactions), await registered(transactions)
    mine = [await uploaded(transactions, owner) for _ in range(4)]
    theirs = await uploaded(transactions, other)
    ids = sorted(one.file_id for one in mine)
    async with transactions.autocommit() as tx:
        await tx.files.remove(ids[0], NOW, owner=owner)
        await tx.files.remove(ids[1], NOW, owner=owner)
        await tx.files.emptied(ids[:1])
        await tx.users.remove(owner)
        for file_id in ids:
            with pytest.raises(NotFound):
                await tx.files.signed(file_id)
        assert await tx.files.removed(9) == ids[1:]
        await tx.files.emptied(ids)
        assert await tx.files.removed(9) == []
        assert await tx.files.forget(seconds(9), 9) == 4
        assert await tx.files.known([*ids, theirs.file_id]) == {theirs.file_id}
        assert await tx.files.get(theirs.file_id, owner=other) == theirs


@settings(max_examples=30)
@given(files=st.lists(st.tuples(st.integers(0, 2**40), st.integers(-7200, 0), st.booleans()), max_size=8))
async def test_bytes_are_of_files_that_are_kept_and_uploads_of_the_last_hour(
    transactions: DatabaseTransactions, files: list[tuple[int, int, bool]]
) -> None:
    owner, other = await registered(transactions), await registered(transactions)
    await uploaded(transactions, other)
    async with transactions.autocommit() as tx:
        for size, at, removed in files:
            one = await uploaded(transactions, owner, size=size, created_at=seconds(at))
            if removed:
                await tx.files.remove(one.file_id, NOW, owner=owner)
        kept = sum(size for size, _, removed in files if not removed)
        recent = [seconds(at) for _, at, _ in files if seconds(at) > HOUR_AGO]
        found = await tx.files.uploaded(HOUR_AGO, owner=owner)
        assert found == Uploaded(kept, len(recent), min(recent, default=None))
        assert type(found.kept_bytes) is int


async def test_an_upload_no_longer_counts_at_the_moment_when_a_refusal_said_to_come_again(
    transactions: DatabaseTransactions,
) -> None:
    owner = await registered(transactions)
    await uploaded(transactions, owner, created_at=HOUR_AGO)
    async with transactions.autocommit() as tx:
        assert (await tx.files.uploaded(HOUR_AGO, owner=owner)).recent == 0


async def test_each_call_is_one_statement(transactions: DatabaseTransactions, statements: list[str]) -> None:
    owner = await registered(transactions)
    one = stored_file(owner)
    calls: list[Callable[[Transaction], Awaitable[Any]]] = [
        lambda tx: tx.files.add(one),
        lambda tx: tx.files.get(one.file_id, owner=owner),
        lambda tx: tx.files.list(Window(20), owner=owner),
        lambda tx: tx.files.these([one.file_id], owner=owner),
        lambda tx: tx.files.signed(one.file_id),
        lambda tx: tx.files.uploaded(HOUR_AGO, owner=owner),
        lambda tx: tx.files.known([one.file_id]),
        lambda tx: tx.files.remove(one.file_id, NOW, owner=owner),
        lambda tx: tx.files.removed(9),
        lambda tx: tx.files.emptied([one.file_id]),
        lambda tx: tx.files.forget(seconds(9), 9),
    ]
    async with transactions.autocommit() as tx:
        for call in calls:
            statements.clear()
            await call(tx)
            assert len(statements) == 1


async def test_what_is_rolled_back_leaves_no_row(transactions: DatabaseTransactions) -> None:
    someone = user()
    one = stored_file(someone.user_id)

    async def add_and_fail() -> None:
        async with transactions.begin() as tx:
            await tx.users.add(someone)
            await tx.files.add(one)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await add_and_fail()
    async with transactions.autocommit() as tx:
        assert await tx.files.known([one.file_id]) == frozenset()
