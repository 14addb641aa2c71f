"""A database that is away, busy, full or slow: a clear refusal, then recovery without a restart."""

import asyncio
import os
import sqlite3
import stat
from pathlib import Path

import pytest

from adapters.database.engine import Gate, sqlite_file
from adapters.database.schema import current_revision, migrate
from adapters.database.transactions import DatabaseTransactions
from application.paging import Window
from domain.agents.agents import DEFAULT_AGENT
from domain.dialogs.dialogs import Dialog
from domain.errors import InvalidValue, Unavailable
from domain.ids import UserId
from patience import PATIENCE
from servers.postgres import Postgres
from stored import DIALOG, dialog, finished, open_answer, question, registered, run_of, user, with_dialog


async def look(transactions: DatabaseTransactions, owner: UserId) -> None:
    async with transactions.autocommit() as tx:
        await tx.agents.get(DEFAULT_AGENT, owner=owner)


@pytest.mark.parametrize("crash", [False, True])
async def test_a_restarted_server_is_taken_up_again(postgres: Postgres, postgres_url: str, crash: bool) -> None:
    transactions = DatabaseTransactions.open(postgres_url, pool_size=4)
    owner = await registered(transactions)
    await asyncio.gather(*(look(transactions, owner) for _ in range(8)))
    await asyncio.to_thread(postgres.stop, crash=crash)
    try:
        for use in (look(transactions, owner), registered(transactions), transactions.ping()):
            with pytest.raises(Unavailable) as refused:
                await use
            assert refused.value.code == "database_unavailable"
            assert refused.value.retry_after
    finally:
        await asyncio.to_thread(postgres.start)
    uses = [look(transactions, owner) for _ in range(8)]
    await asyncio.gather(*uses, *(registered(transactions) for _ in range(8)), transactions.ping())
    await transactions.aclose()


@pytest.mark.parametrize("writes", [False, True])
async def test_a_restart_between_two_requests_is_not_noticed(
    postgres: Postgres, postgres_url: str, writes: bool
) -> None:
    transactions = DatabaseTransactions.open(postgres_url, pool_size=3)
    owner = await registered(transactions)
    await asyncio.gather(*(look(transactions, owner) for _ in range(3)))
    await asyncio.to_thread(postgres.stop, crash=True)
    await asyncio.to_thread(postgres.start)
    for _ in range(4):
        await (registered(transactions) if writes else look(transactions, owner))
    await transactions.aclose()


async def test_a_server_that_is_away_is_unavailable() -> None:
    transactions = DatabaseTransactions.open("postgresql://nobody@127.0.0.1:1/none")
    with pytest.raises(Unavailable):
        await transactions.ping()
    with pytest.raises(Unavailable):
        await current_revision("postgresql://nobody@127.0.0.1:1/none")
    await transactions.aclose()


async def test_one_connection_serves_fifty_at_once(database_url: str) -> None:
    transactions = DatabaseTransactions.open(database_url, pool_size=1)
    owners = await asyncio.gather(*(registered(transactions) for _ in range(50)))
    await asyncio.gather(*(look(transactions, owner) for owner in owners))
    await transactions.aclose()


async def test_readers_read_while_one_writes(transactions: DatabaseTransactions) -> None:
    owner = await registered(transactions)
    async with transactions.begin() as tx:
        one = user()
        await tx.users.add(one)
        await asyncio.wait_for(asyncio.gather(*(look(transactions, owner) for _ in range(20))), PATIENCE)
        async with transactions.autocommit() as other:
            assert await other.users.by_name(one.name) is None


async def test_writers_of_several_processes_never_meet_a_lock(database_url: str) -> None:
    several = [DatabaseTransactions.open(database_url, pool_size=2) for _ in range(3)]
    await asyncio.gather(*(registered(one) for one in several for _ in range(25)))
    for one in several:
        await one.aclose()


async def test_writers_are_served_in_their_order() -> None:
    gate = Gate(1, patience=5)
    await gate.enter()
    served: list[int] = []

    async def write(number: int) -> None:
        await gate.enter()
        served.append(number)
        await asyncio.sleep(0)
        gate.leave()

    waiting = [asyncio.create_task(write(number)) for number in range(5)]
    await asyncio.sleep(0)
    gate.leave()
    await asyncio.gather(*waiting)
    assert served == [0, 1, 2, 3, 4]


async def test_who_waits_too_long_is_told_to_come_again(database_url: str) -> None:
    opened = DatabaseTransactions.open(database_url, pool_size=1)
    transactions = DatabaseTransactions(opened.database, patience=0.05)
    async with transactions.begin():
        with pytest.raises(Unavailable):
            await registered(transactions)
    await registered(transactions)
    await transactions.aclose()


async def test_a_full_disk_is_unavailable_and_loses_nothing_stored(sqlite_url: str) -> None:
    transactions = DatabaseTransactions.open(sqlite_url)
    owner = await registered(transactions)
    with transactions.database.writer.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 1")

    async def fill() -> None:
        for _ in range(5000):
            await registered(transactions)

    with pytest.raises(Unavailable):
        await fill()
    await look(transactions, owner)
    await transactions.aclose()


async def test_a_full_disk_refuses_questions_and_answers_until_there_is_room(sqlite_url: str) -> None:
    transactions = DatabaseTransactions.open(sqlite_url)
    owner = await with_dialog(transactions)
    asked, answer = question(), open_answer()
    long = "x" * 2_000_000
    other = open_answer("new", content=long)

    def grow_to(pages: str) -> None:
        with transactions.database.writer.connect() as connection:
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

    async with transactions.autocommit() as tx:
        await tx.runs.open(run_of(answer, owner), asked, answer)
        grow_to("1")
        for refused in (
            tx.runs.close(finished(answer, long), (), owner=owner),
            tx.runs.open(run_of(other, owner), question("new"), other),
            tx.runs.open(run_of(other, owner), question("new"), other, dialog=new(owner)),
        ):
            with pytest.raises(Unavailable) as away:
                await refused
            assert away.value.code == "database_unavailable"
        assert await tx.messages.history(DIALOG, Window(), owner=owner) == [asked, answer]
        grow_to("1000000")
        assert await tx.runs.close(finished(answer, long), (), owner=owner)
        await tx.runs.open(run_of(other, owner), question("new"), other, dialog=new(owner))
    await transactions.aclose()


async def test_reads_go_on_while_a_write_waits_for_the_lock_of_another_process(sqlite_url: str) -> None:
    transactions = DatabaseTransactions.open(sqlite_url)
    owner = await with_dialog(transactions)
    asked, answer = question(), open_answer()
    other = sqlite3.connect(sqlite_file(sqlite_url), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    async with transactions.autocommit() as tx:
        waiting = asyncio.create_task(tx.runs.open(run_of(answer, owner), asked, answer))
        async with asyncio.timeout(PATIENCE):
            for _ in range(20):
                await look(transactions, owner)
                await asyncio.sleep(0)
        assert not waiting.done()
        other.execute("ROLLBACK")
        await waiting
        assert await tx.messages.history(DIALOG, Window(), owner=owner) == [asked, answer]
    other.close()
    await transactions.aclose()


def new(owner: UserId) -> Dialog:
    return dialog(owner, "new")


async def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/deep/data/agentchat.db"
    mask = os.umask(0)
    try:
        await migrate(url)
        transactions = DatabaseTransactions.open(url)
        await registered(transactions)
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "deep" / "data").iterdir()}
    finally:
        os.umask(mask)
    assert modes == {"agentchat.db": 0o600, "agentchat.db-wal": 0o600, "agentchat.db-shm": 0o600}
    await transactions.aclose()


async def test_a_file_that_is_no_database_is_not_touched(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("my notes\n" * 1000)
    with pytest.raises(Unavailable):
        await migrate(f"sqlite:///{file}")
    assert file.read_text() == "my notes\n" * 1000


@pytest.mark.parametrize("url", ["", "mysql://x/y", "sqlite://", "sqlite:///", "nonsense"])
def test_an_address_of_neither_dialect_is_refused(url: str) -> None:
    with pytest.raises(InvalidValue):
        DatabaseTransactions.open(url)
