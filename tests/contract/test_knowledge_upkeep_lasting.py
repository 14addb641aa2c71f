"""The upkeep of knowledge goes on whatever happens, in as many processes as there are, until it is cancelled."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from adapters.database.transactions import DatabaseTransactions
from application.knowledge import knowledge_upkeep
from domain.errors import Unavailable
from knowledge_desk import KnowledgeDesk
from meddled import Meddled
from stored import registered

PATIENCE = 15


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FIRST_SECONDS", "EVERY_SECONDS", "RARELY_SECONDS"):
        monkeypatch.setattr(knowledge_upkeep, name, 0.01)


@asynccontextmanager
async def kept(*desks: KnowledgeDesk) -> AsyncIterator[list["asyncio.Task[None]"]]:
    going = [asyncio.create_task(desk.keep.forever()) for desk in desks]
    try:
        yield going
    finally:
        for one in going:
            one.cancel()
        await asyncio.wait(going)


async def until(met: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not met():
            await asyncio.sleep(0.005)


async def lost(desk: KnowledgeDesk) -> str:
    """A base that was removed while the queue was away."""
    owner = await registered(desk.transactions)
    base = await desk.base(owner)
    desk.queue.down = True
    await desk.delete(owner, base.knowledge_id)
    desk.queue.down = False
    desk.troubles.clear()
    return base.knowledge_id


def subjects(desk: KnowledgeDesk) -> list[str]:
    return [job.subject for _, job in desk.queue.waiting_jobs]


@pytest.mark.parametrize("trouble", [Unavailable("database_unavailable", "Away."), ZeroDivisionError("a defect")])
async def test_it_survives_outages_and_defects_and_tells_of_each_look(
    transactions: DatabaseTransactions, trouble: Exception
) -> None:
    meddled = Meddled(transactions)
    desk = KnowledgeDesk(transactions, database=meddled)
    wanted = await lost(desk)

    async def broken(*_given: Any) -> object:
        raise trouble

    meddled.instead = {"knowledge.removed": broken}
    async with kept(desk) as (going,):
        await until(lambda: len(desk.troubles) >= 3)
        assert subjects(desk) == []
        meddled.instead = {}
        await until(lambda: subjects(desk) == [wanted])
        assert not going.done()
    assert {type(one) for one in desk.troubles} == {type(trouble)}
    assert going.cancelled()


async def test_the_worse_it_goes_the_more_seldom_it_looks(
    transactions: DatabaseTransactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, seconds in (("FIRST_SECONDS", 2.0), ("EVERY_SECONDS", 60.0), ("RARELY_SECONDS", 600.0)):
        monkeypatch.setattr(knowledge_upkeep, name, seconds)
    pauses: list[float] = []
    real = asyncio.sleep
    desk = KnowledgeDesk(transactions)
    looks = iter([True, False, False, False, False, False, False, True, True])

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        await real(0)
        succeeds = next(looks, None)
        if succeeds is None:
            raise asyncio.CancelledError
        desk.queue.down = not succeeds

    await lost(desk)
    monkeypatch.setattr(knowledge_upkeep.asyncio, "sleep", sleep)
    monkeypatch.setattr(knowledge_upkeep.random, "uniform", lambda *_: 1.0)
    with pytest.raises(asyncio.CancelledError):
        await desk.keep.forever()
    assert pauses == [2, 60, 120, 240, 480, 600, 600, 600, 60, 60]
    assert len(desk.troubles) == 6


async def test_cancelled_in_mid_look_it_ends_and_leaves_the_rest_for_later(
    transactions: DatabaseTransactions,
) -> None:
    meddled, reached = Meddled(transactions), asyncio.Event()
    desk = KnowledgeDesk(transactions, database=meddled)
    wanted = await lost(desk)

    async def hang(*_given: Any) -> object:
        reached.set()
        return await asyncio.Event().wait()

    meddled.instead = {"knowledge_files.removed": hang}
    async with kept(desk) as (going,):
        await asyncio.wait_for(reached.wait(), PATIENCE)
    assert going.cancelled()
    assert (subjects(desk), desk.troubles) == ([], [])
    meddled.instead = {}
    await desk.keep.once()
    assert subjects(desk) == [wanted]


async def test_several_processes_ask_for_one_thing_once_and_do_no_harm(transactions: DatabaseTransactions) -> None:
    desk = KnowledgeDesk(transactions)
    wanted = await lost(desk)
    looked: list[str] = []
    others = [desk.process(database=_looking(transactions, looked)) for _ in range(3)]
    async with kept(*others):
        await until(lambda: len(looked) >= 9)
    assert subjects(desk) == [wanted]
    await desk.run()
    assert (await desk.counts())["knowledge_bases"] == 0
    assert [one for other in others for one in other.troubles] == []


def _looking(transactions: DatabaseTransactions, looked: list[str]) -> Meddled:
    meddled = Meddled(transactions)

    async def look(real: Callable[..., Awaitable[object]], *given: Any) -> object:
        looked.append("purge")
        return await real(*given)

    meddled.instead = {"knowledge.removed": look}
    return meddled
