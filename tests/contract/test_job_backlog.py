"""What waits, for how long, and who works on it: on both databases, and as health and metrics tell it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import cast

import pytest

from application.jobs.backlog import FORSAKEN_SECONDS, JobsHealth, LookAtBacklog
from application.ports.job_queue import Backlog, Job, JobKind, JobQueue
from domain.errors import Unavailable
from entrypoints.metrics.families import families_of
from job_desk import LEASE, PATIENCE, JobDesk, Worker, job, working
from servers.postgres import Postgres


@pytest.fixture
async def desk(database_url: str) -> AsyncIterator[JobDesk]:
    desk = JobDesk(database_url)
    yield desk
    await desk.aclose()


@pytest.fixture
async def on_postgres(postgres_url: str) -> AsyncIterator[JobDesk]:
    desk = JobDesk(postgres_url)
    yield desk
    await desk.aclose()


async def test_each_kind_is_counted_and_what_is_not_due_has_no_age(desk: JobDesk) -> None:
    queue = desk.process()
    assert await queue.backlog() == Backlog({}, 0.0, 0)
    later = timedelta(hours=1)
    for one in (job("a", delay=later), job("b", delay=later), Job(JobKind.PURGE, "c", delay=later)):
        await queue.put(one)
    assert await queue.backlog() == Backlog({JobKind.INGEST: 2, JobKind.PURGE: 1}, 0.0, 0)
    await queue.put(job("d"))
    await asyncio.sleep(0.05)
    found = await queue.backlog()
    assert found.waiting[JobKind.INGEST] == 3
    assert 0.05 <= found.oldest_seconds < PATIENCE


async def test_who_works_is_seen_at_once_also_without_a_job_and_what_they_hold_does_not_wait(desk: JobDesk) -> None:
    queue, gate = desk.process(), asyncio.Event()

    async def hold() -> None:
        await gate.wait()

    worker = Worker({"held": hold})
    async with working(queue, worker):
        async with asyncio.timeout(PATIENCE):
            while (await queue.backlog()).workers != 1:
                await asyncio.sleep(0.01)
        await queue.put(job("held"))
        await worker.until(lambda: worker.begun == ["held"])
        await queue.put(job("next"))
        assert (await queue.backlog()).waiting == {JobKind.INGEST: 1}
        gate.set()


async def test_the_jobs_of_the_dead_wait_and_they_are_counted_no_more(on_postgres: JobDesk) -> None:
    dead, living = on_postgres.table(), on_postgres.table()
    await dead.put(job("held"))
    (held,) = await dead.take(1)
    await dead.renew([held.number])
    await living.renew([])
    assert await living.backlog() == Backlog({}, 0.0, 2)
    async with asyncio.timeout(PATIENCE):
        while (await living.backlog()).workers:
            await asyncio.sleep(LEASE / 10)
    await living.renew([])
    found = await living.backlog()
    assert (found.waiting, found.workers) == ({JobKind.INGEST: 1}, 1)
    assert found.oldest_seconds > 0


async def test_what_an_earlier_process_held_waits(sqlite_url: str) -> None:
    desk = JobDesk(sqlite_url)
    earlier = desk.table()
    await earlier.put(job("held"))
    await earlier.take(1)
    assert (await earlier.backlog()).waiting == {}
    assert (await desk.table().backlog()).waiting == {JobKind.INGEST: 1}
    await desk.aclose()


async def test_tables_of_an_earlier_version_get_what_is_new(on_postgres: JobDesk, postgres: Postgres) -> None:
    name = on_postgres.url.rpartition("/")[2]
    await on_postgres.table().put(job("a"))
    postgres.execute("DROP TABLE agentchat_jobs.workers", name)
    await asyncio.gather(*(on_postgres.table().renew([]) for _ in range(3)))
    assert postgres.execute("SELECT count(*) FROM agentchat_jobs.workers", name) == "3"
    assert await on_postgres.table().waiting() == 1


@dataclass
class Queue:
    """As a test wants it."""

    found: Backlog
    away: Exception | None = None
    seconds: float = 0.0
    asked: int = 0

    async def backlog(self) -> Backlog:
        self.asked += 1
        await asyncio.sleep(self.seconds)
        if self.away:
            raise self.away
        return self.found


SOME = Backlog({JobKind.INGEST: 11, JobKind.PURGE: 1}, FORSAKEN_SECONDS + 15, 0)


def look(queue: Queue, now: list[float] | None = None) -> LookAtBacklog:
    return LookAtBacklog(cast(JobQueue, queue), 5, 0.05, clock=lambda: now[-1] if now else 0.0)


@pytest.mark.parametrize("away", [None, Unavailable("database_unavailable", "Away.")])
async def test_however_many_ask_the_queue_is_asked_once_in_a_while_also_when_it_is_away(away: Exception | None) -> None:
    queue, now = Queue(SOME, away, seconds=0.01), [100.0]
    asked = look(queue, now)
    expected = None if away else SOME
    assert await asyncio.gather(*(asked() for _ in range(20))) == [expected] * 20
    now.append(104.9)
    await asked()
    assert queue.asked == 1
    now.append(105.0)
    assert await asked() == expected
    assert queue.asked == 2


async def test_a_queue_that_does_not_answer_holds_up_nobody_and_is_no_number() -> None:
    queue = Queue(SOME, seconds=60)
    assert await asyncio.wait_for(look(queue)(), PATIENCE) is None
    assert list(families_of(None)) == []


async def test_jobs_that_wait_long_without_a_worker_are_a_problem_that_says_what_to_do() -> None:
    with pytest.raises(Unavailable) as problem:
        await JobsHealth(look(Queue(SOME))).check()
    assert problem.value.message.startswith("12 jobs wait, one for 75 seconds, and no worker lives: run `agentchat w")


@pytest.mark.parametrize(
    "found",
    [
        Backlog({}, 0.0, 0),
        Backlog({JobKind.INGEST: 1}, FORSAKEN_SECONDS, 0),
        Backlog({JobKind.INGEST: 10**6}, 10**6, 1),
        Backlog({JobKind.INGEST: 5}, 0.0, 0),
    ],
)
async def test_work_that_somebody_does_or_that_has_just_come_is_no_problem(found: Backlog) -> None:
    await JobsHealth(look(Queue(found))).check()


async def test_a_queue_that_is_away_is_a_problem() -> None:
    with pytest.raises(Unavailable):
        await JobsHealth(look(Queue(SOME, Unavailable("database_unavailable", "Away.")))).check()


def test_every_kind_has_a_number_also_when_none_waits() -> None:
    told = {one.name: {tuple(s.labels.values()): s.value for s in one.samples} for one in families_of(SOME)}
    assert told == {
        "agentchat_jobs_waiting": {("ingest",): 11, ("purge",): 1}
        | {(kind,): 0 for kind in ("reindex", "summarise", "remember")},
        "agentchat_jobs_oldest_seconds": {(): 75},
        "agentchat_jobs_workers": {(): 0},
    }
