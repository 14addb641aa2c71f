"""Files that many add, remove and empty at once, while their owners leave: each once, and nobody waits in a circle."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import asyncpg

from adapters.database.transactions import DatabaseTransactions
from application.ports.persistence import Transaction
from domain.errors import DomainError
from domain.files.files import StoredFile, Uploaded
from domain.ids import FileId, new_id
from servers.postgres import Postgres
from stored import NOW, registered, seconds, stored_file, uploaded

HOUR_AGO = seconds(-3600)


async def outcome_of(transactions: DatabaseTransactions, call: Callable[[Transaction], Awaitable[Any]]) -> str:
    async with transactions.autocommit() as tx:
        try:
            await call(tx)
        except DomainError as refused:
            return refused.code
    return "done"


async def test_of_many_adds_and_removals_at_once_each_happens_once(transactions: DatabaseTransactions) -> None:
    owner = await registered(transactions)
    files = [stored_file(owner, size=10) for _ in range(20)]

    async def all_at_once(call: Callable[..., Awaitable[Any]]) -> list[str]:
        outcomes = (outcome_of(transactions, partial(call, one=one)) for one in files * 2)
        return sorted(await asyncio.gather(*outcomes))

    assert await all_at_once(lambda tx, one: tx.files.add(one)) == ["done"] * 40
    async with transactions.autocommit() as tx:
        assert await tx.files.uploaded(HOUR_AGO, owner=owner) == Uploaded(200, 20, NOW)
    removals = await all_at_once(lambda tx, one: tx.files.remove(one.file_id, NOW, owner=owner))
    assert removals == ["done"] * 20 + ["file_not_found"] * 20
    ids = [one.file_id for one in files]
    await asyncio.gather(*(outcome_of(transactions, lambda tx: tx.files.emptied(ids)) for _ in range(8)))
    async with transactions.autocommit() as tx:
        assert await tx.files.removed(99) == []
    forgetting = [forget(transactions) for _ in range(8)]
    assert sum(await asyncio.gather(*forgetting)) == 20


async def forget(transactions: DatabaseTransactions) -> int:
    async with transactions.autocommit() as tx:
        return await tx.files.forget(seconds(9), 5)


async def test_an_account_that_is_deleted_while_it_uploads_leaves_no_file_with_an_owner(
    transactions: DatabaseTransactions,
) -> None:
    owner = await registered(transactions)
    files = [stored_file(owner) for _ in range(20)]

    async def add(tx: Transaction, one: StoredFile) -> None:
        await tx.files.add(one)

    async def leave(tx: Transaction) -> None:
        await tx.users.remove(owner)

    calls: list[Callable[[Transaction], Awaitable[Any]]] = [partial(add, one=one) for one in files]
    calls.insert(10, leave)
    outcomes = await asyncio.gather(*(outcome_of(transactions, call) for call in calls))
    assert set(outcomes) <= {"done", "account_gone"}
    stored = [
        one.file_id for one, outcome in zip(files, outcomes[:10] + outcomes[11:], strict=True) if outcome == "done"
    ]
    async with transactions.autocommit() as tx:
        assert await tx.files.removed(99) == sorted(stored)


async def test_deleting_accounts_whose_files_are_emptied_and_forgotten_meets_no_deadlock(
    postgres: Postgres, postgres_url: str
) -> None:
    name = urlsplit(postgres_url).path[1:]
    # Rather a deadlock found at once than none met; and one goes by the ids, another by the times.
    for setting in ("deadlock_timeout = '5ms'", "enable_seqscan = off", "enable_bitmapscan = off"):
        postgres.execute(f"ALTER DATABASE {name} SET {setting}")
    transactions = DatabaseTransactions.open(postgres_url)
    for _ in range(10):
        owner = await registered(transactions)
        ids = sorted(FileId(new_id()) for _ in range(100))
        files = [
            await uploaded(transactions, owner, file_id=one, created_at=seconds(-at)) for at, one in enumerate(ids)
        ]
        await asyncio.gather(*(outcome_of(transactions, partial(remove, one=one)) for one in files))
        async with transactions.autocommit() as tx:
            steps = [tx.files.emptied(order) for order in (ids, ids[::-1], sorted(ids))]
            await asyncio.gather(*steps, tx.users.remove(owner), *(forget(transactions) for _ in range(4)))
            await tx.files.emptied(ids)
            await tx.files.forget(seconds(9), 999)
            assert await tx.files.known(ids) == frozenset()
    await transactions.aclose()
    assert await deadlocks(postgres_url) == 0


async def remove(tx: Transaction, one: StoredFile) -> None:
    await tx.files.remove(one.file_id, NOW, owner=one.user_id)


async def deadlocks(url: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        found = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        return int(await connection.fetchval(found))
    finally:
        await connection.close()
