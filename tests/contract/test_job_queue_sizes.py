"""On SQLite statements run on the event loop: no look at the queue costs more because much of it is not due yet."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert, select, update

from adapters.database import schema
from adapters.database.jobs.jobs import POLL_SECONDS, SqliteJobs
from adapters.database.jobs.jobs_table import jobs
from adapters.database.transactions import DatabaseTransactions
from application.ports.job_queue import JobKind
from job_desk import job
from sqlite_steps import Steps

FEW, MANY = 20, 2000


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[DatabaseTransactions]:
    url = f"sqlite:///{tmp_path}/jobs.db"
    await schema.migrate(url)
    opened = DatabaseTransactions.open(url)
    yield opened
    await opened.aclose()


def fill(database: DatabaseTransactions, many: int, due: datetime, *, kind: str = "ingest", rank: int = 1) -> None:
    rows = [
        {"kind": kind, "subject": f"{kind}{rank}/{number}", "generation": 0, "rank": rank}
        | {"due": due, "is_ready": False, "failures": 0}
        for number in range(many)
    ]
    with database.database.writer.begin() as connection:
        connection.execute(insert(jobs), rows)


async def costs(database: DatabaseTransactions, queue: SqliteJobs) -> dict[str, int]:
    steps = Steps(database)

    async def take() -> None:
        for one in await queue.take(1):
            await queue.finish(one)

    await queue.put(job("due", rank=9))
    await queue.put(job("later", rank=9))
    found = {"news": await steps.of(queue.news)}
    return found | {"take": await steps.of(take)}


async def test_what_is_not_due_costs_no_look_anything(database: DatabaseTransactions) -> None:
    queue, later = database.jobs(), datetime.now(UTC) + timedelta(hours=1)
    assert isinstance(queue, SqliteJobs)
    fill(database, FEW, later)
    few = await costs(database, queue)
    fill(database, MANY, later, rank=0)
    many = await costs(database, queue)
    for what, steps in few.items():
        assert 0 < many[what] < 2 * steps + 100, (what, few, many)


async def test_counting_what_waits_looks_at_no_job_itself(database: DatabaseTransactions) -> None:
    """The index tells: some steps for each, where reading the rows takes several times as many."""
    queue = database.jobs()
    fill(database, MANY, datetime.now(UTC) + timedelta(hours=1))
    steps = await Steps(database).of(queue.backlog)
    assert steps < 5 * MANY
    assert (await queue.backlog()).waiting == {JobKind.INGEST: MANY}


async def test_however_many_become_due_at_once_the_first_by_rank_is_taken_first(database: DatabaseTransactions) -> None:
    queue, now = database.jobs(), datetime.now(UTC)
    fill(database, 700, now - timedelta(hours=1), rank=5)
    fill(database, 1, now - timedelta(minutes=1), rank=3)
    fill(database, 1, now + timedelta(hours=1), rank=0)
    await queue.put(job("now", rank=4))
    taken = await queue.take(3)
    assert [one.job.rank for one in taken] == [3, 4, 5]
    assert [one.job.subject for one in taken] == ["ingest3/0", "now", "ingest5/0"]


async def test_what_comes_due_is_ready_for_ever_also_when_it_is_given_back(database: DatabaseTransactions) -> None:
    queue = database.jobs()
    fill(database, 1, datetime.now(UTC) + timedelta(hours=1))
    assert await queue.take(1) == []
    with database.database.writer.begin() as connection:
        connection.execute(update(jobs).values(due=datetime.now(UTC) - timedelta(seconds=1)))
    [taken] = await queue.take(1)
    await queue.release(taken)
    [again] = await queue.take(1)
    assert again.number == taken.number
    await queue.put_back(again, job("ingest1/0", delay=timedelta(hours=1)), 1)
    assert await queue.take(1) == []
    with database.database.writer.connect() as connection:
        assert connection.execute(select(jobs.c.is_ready)).scalars().all() == [False]


async def test_kinds_of_a_newer_version_are_neither_taken_nor_waited_for(database: DatabaseTransactions) -> None:
    queue, begun = database.jobs(), datetime.now(UTC)
    assert isinstance(queue, SqliteJobs)
    fill(database, FEW, begun - timedelta(hours=1), kind="not known yet")
    assert await queue.take(5) == []
    assert (await queue.backlog()).waiting == {}
    fill(database, 1, begun + timedelta(seconds=0.2))
    async with asyncio.timeout(POLL_SECONDS / 2):
        looks, taken = 0, await queue.take(5)
        while not taken:
            await queue.news()
            looks, taken = looks + 1, await queue.take(5)
    # The clock of the loop may be a little ahead of the one that says what is due.
    assert (len(taken), 1 <= looks <= 5) == (1, True)
