"""Who deletes the account takes the knowledge away at once, also what is being read and embedded just then."""

import asyncio
from dataclasses import dataclass
from typing import cast

import pytest

from adapters.database.transactions import DatabaseTransactions
from application.accounts import users
from application.accounts.passwords import ConfirmPassword
from application.accounts.users import DeleteUser
from application.files.file_upkeep import SweepFiles
from application.jobs.asked_work import AskForWork
from application.knowledge import purging
from application.ports.job_queue import JobKind
from application.runs.run_registry import RunRegistry
from domain.accounts.users import User
from domain.ids import UserId
from knowledge_desk import KnowledgeDesk, Watched, text_of
from stored import registered

TEXT = text_of(9)


@dataclass
class Certain:
    """Confirms every password. Stands for ConfirmPassword."""

    transactions: DatabaseTransactions

    async def __call__(self, actor: UserId, *_: object) -> User:
        async with self.transactions.autocommit() as tx:
            return await tx.users.get(actor)


def deletes(desk: KnowledgeDesk) -> DeleteUser:
    confirm = cast(ConfirmPassword, Certain(desk.transactions))
    ask = AskForWork(desk.queue, desk.troubles.append)
    return DeleteUser(desk.transactions, confirm, RunRegistry(1, 1), ask)


async def traces(desk: KnowledgeDesk) -> dict[str, int]:
    """Of knowledge: bases, files, chunks, their terms and vectors."""
    counts = await desk.counts()
    return {name: count for name, count in counts.items() if name.startswith(("knowledge", "chunk"))}


async def test_nothing_is_left_of_an_account_that_is_deleted_amid_the_work_and_nobody_waits_for_the_upkeep(
    transactions: DatabaseTransactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purging, "REMOVED_AT_ONCE", 4)
    desk = KnowledgeDesk(transactions)
    other = await registered(transactions)
    await desk.file(other, await desk.base(other), TEXT)
    await desk.run()
    others, clean = set(desk.storage.contents), await traces(desk)
    for at in (1, 4, 7, 10, 13):
        owner = await registered(transactions)
        filled, filling = await desk.base(owner, "filled"), await desk.base(owner, "filling")
        await desk.file(owner, filled, TEXT)
        await desk.run()
        await desk.file(owner, filling, TEXT)

        async def delete(owner: UserId = owner) -> None:
            await deletes(desk)(owner, "password", "address")

        await desk.process(database=Watched(transactions, at, delete)).run()
        assert await traces(desk) == clean
        assert desk.queue.waiting_jobs == []
        await SweepFiles(transactions, desk.storage, desk.clock, desk.troubles.append).once()
        assert set(desk.storage.contents) == others
    assert desk.troubles == []


async def test_a_queue_that_is_away_keeps_nobody_from_deleting_an_account(transactions: DatabaseTransactions) -> None:
    desk = KnowledgeDesk(transactions)
    owner = await registered(transactions)
    await desk.file(owner, await desk.base(owner), TEXT)
    await desk.run()
    desk.queue.down = True
    await deletes(desk)(owner, "password", "address")
    assert len(desk.troubles) == 1
    desk.queue.down = False
    await desk.keep.once()
    await desk.run()
    assert set((await traces(desk)).values()) == {0}


async def test_many_bases_are_asked_for_in_part_and_the_upkeep_finds_the_rest(
    transactions: DatabaseTransactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(users, "ASKED_AT_ONCE", 2)
    desk = KnowledgeDesk(transactions)
    owner = await registered(transactions)
    bases = {(await desk.base(owner, f"{number}")).knowledge_id for number in range(5)}
    await deletes(desk)(owner, "password", "address")
    assert {job.kind for _, job in desk.queue.waiting_jobs} == {JobKind.PURGE}
    assert len(desk.queue.waiting_jobs) == 2
    await desk.keep.once()
    assert {job.subject for _, job in desk.queue.waiting_jobs} == bases
    await desk.run()
    assert set((await traces(desk)).values()) == {0}


async def test_files_that_are_put_in_while_the_account_goes_leave_nothing(transactions: DatabaseTransactions) -> None:
    desk = KnowledgeDesk(transactions)
    for _ in range(4):
        owner = await registered(transactions)
        base = await desk.base(owner)
        url = await desk.upload(owner, TEXT)
        adding = [desk.add(owner, base.knowledge_id, url) for _ in range(4)]
        await asyncio.gather(*adding, deletes(desk)(owner, "password", "address"), return_exceptions=True)
        await desk.run()
    assert set((await traces(desk)).values()) == {0}
    assert desk.queue.waiting_jobs == []
