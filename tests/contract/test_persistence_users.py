"""Users: unique names, profiles, and removal with all that is theirs."""

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy import func, select

from adapters.database.engine import Gate
from adapters.database.session import Lane, SingleStatements
from adapters.database.tables import metadata
from adapters.database.transactions import DatabaseTransactions
from domain.accounts.users import Role, UserName
from domain.errors import Conflict, NotFound, Unauthenticated
from stored import (
    NOBODY,
    NOW,
    agent,
    api_key,
    dialog,
    open_answer,
    question,
    refresh_token,
    registered,
    run_of,
    seconds,
    user,
)


async def test_a_user_comes_back_as_stored(transactions: DatabaseTransactions) -> None:
    one = replace(user("Zoë 张"), email="z@example.org", avatar="/a.png", description="x\ny", role=Role.ADMIN)
    async with transactions.begin() as tx:
        await tx.users.add(one)
    async with transactions.autocommit() as tx:
        assert await tx.users.get(one.user_id) == one
        assert await tx.users.caller(one.user_id) == one
        assert await tx.users.by_name(UserName.parse("ZOË 张")) == one
        assert await tx.users.by_name(UserName.parse("Zoe")) is None


async def test_a_name_is_taken_once_whatever_its_case(transactions: DatabaseTransactions) -> None:
    await registered(transactions, "Ann")
    with pytest.raises(Conflict) as refused:
        await registered(transactions, "aNN")
    assert refused.value.code == "user_name_taken"


async def test_of_many_registrations_of_one_name_at_once_one_wins(transactions: DatabaseTransactions) -> None:
    outcomes = await asyncio.gather(*(registered(transactions, "Ann") for _ in range(8)), return_exceptions=True)
    refused = [one for one in outcomes if isinstance(one, Conflict)]
    assert len(refused) == 7
    assert {one.code for one in refused} == {"user_name_taken"}


async def test_a_profile_is_replaced_and_nothing_else(transactions: DatabaseTransactions) -> None:
    one = user("Ann")
    async with transactions.begin() as tx:
        await tx.users.add(one)
    changed = replace(one, email="a@b.c", description="d", avatar="/x", updated_at=seconds(1))
    async with transactions.begin() as tx:
        await tx.users.save_profile(replace(changed, name=UserName("Bob"), password_hash="other", role=Role.ADMIN))
    async with transactions.autocommit() as tx:
        assert await tx.users.get(one.user_id) == changed


async def test_an_unknown_user_is_not_found(transactions: DatabaseTransactions) -> None:
    async with transactions.begin() as tx:
        for refused in (tx.users.get(NOBODY), tx.users.remove(NOBODY), tx.users.save_profile(user())):
            with pytest.raises(NotFound):
                await refused
        with pytest.raises(Unauthenticated):
            await tx.users.caller(NOBODY)
        with pytest.raises(Unauthenticated):
            await tx.users.locked(NOBODY)
        with pytest.raises(Unauthenticated):
            await tx.users.set_password(NOBODY, "new", "hash")


async def test_a_password_replaces_the_expected_one_only(transactions: DatabaseTransactions) -> None:
    owner = await registered(transactions)
    async with transactions.begin() as tx:
        assert not await tx.users.set_password(owner, "new", "other")
        assert await tx.users.set_password(owner, "new", "hash")
        assert (await tx.users.get(owner)).password_hash == "new"


async def test_removing_a_user_leaves_no_row_of_theirs(transactions: DatabaseTransactions) -> None:
    owner = await registered(transactions)
    other = await registered(transactions)
    for one in (owner, other):
        async with transactions.begin() as tx:
            await tx.refresh_tokens.add(refresh_token(one))
            await tx.api_keys.add(api_key(one))
            await tx.agents.add(agent(one))
            await tx.dialogs.add(dialog(one))
            answer = open_answer()
            await tx.runs.open(run_of(answer, one), question(), answer)
    async with transactions.begin() as tx:
        await tx.users.remove(owner)
    assert await rows_of(transactions, owner) == 0
    assert await rows_of(transactions, other) == 8


async def rows_of(transactions: DatabaseTransactions, owner: str) -> int:
    lane = Lane(transactions.database.reader, Gate(1, 1))
    session = SingleStatements(lane, lane, transactions.database.run)
    count = 0
    for table in metadata.tables.values():
        if "user_id" in table.c:
            found = await session.rows(select(func.count()).select_from(table).where(table.c.user_id == owner), {})
            count += found[0][0]
    return count


async def test_an_exception_rolls_everything_back(transactions: DatabaseTransactions) -> None:
    one = user("Ann")

    async def store_and_fail() -> None:
        async with transactions.begin() as tx:
            await tx.users.add(one)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await store_and_fail()
    async with transactions.autocommit() as tx:
        assert await tx.users.by_name(one.name) is None


async def test_a_transaction_that_is_cancelled_leaves_nothing_behind(transactions: DatabaseTransactions) -> None:
    one = user("Ann")
    stored = asyncio.Event()

    async def store_and_wait() -> None:
        async with transactions.begin() as tx:
            await tx.users.add(one)
            stored.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(store_and_wait())
    await stored.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await registered(transactions, "Ann")


async def test_cancelling_at_any_moment_loses_no_connection(database_url: str) -> None:
    transactions = DatabaseTransactions.open(database_url, pool_size=1)
    for spins in range(40):
        task = asyncio.create_task(registered(transactions))
        for _ in range(spins):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await registered(transactions)
    async with transactions.autocommit() as tx:
        assert await tx.users.by_name(UserName("nobody")) is None
    await transactions.aclose()


async def test_what_was_committed_is_there_after_a_restart(database_url: str) -> None:
    before = DatabaseTransactions.open(database_url)
    one = user("Ann")
    async with before.begin() as tx:
        await tx.users.add(one)
    await before.aclose()
    after = DatabaseTransactions.open(database_url)
    async with after.autocommit() as tx:
        assert await tx.users.get(one.user_id) == one
        assert one.created_at == NOW
    await after.aclose()
