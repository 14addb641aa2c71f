"""Documents and what waits for models are worked on side by side, on both databases."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from application.jobs.job_shifts import ASIDES, ASIDES_AT_ONCE, work_on_jobs
from application.ports.job_queue import EVERY_KIND, Again, Job, JobKind
from domain.dialogs.dialog_subjects import dialog_subject
from domain.ids import DialogId, UserId
from job_desk import AT_ONCE, JobDesk, Worker, emptied, job, working


@pytest.fixture
async def desk(database_url: str) -> AsyncIterator[JobDesk]:
    desk = JobDesk(database_url)
    yield desk
    await desk.aclose()


def aside(owner: str, dialog: str = "d", kind: JobKind = JobKind.SUMMARISE) -> Job:
    return Job(kind, dialog_subject(UserId(owner), DialogId(dialog)))


async def test_no_document_waits_behind_silent_models_nor_they_behind_it(desk: JobDesk) -> None:
    queue, stop, release = desk.process(), asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        await release.wait()

    silent = [aside(f"u{number}") for number in range(ASIDES_AT_ONCE + 2)]
    worker = Worker({**{one.subject: wait for one in silent}, "long": wait})
    for one in silent:
        await queue.put(one)
    work = asyncio.create_task(work_on_jobs(queue, worker, 1, stop))
    await worker.until(lambda: len(worker.begun) == ASIDES_AT_ONCE)
    await queue.put(job("quick"))
    await worker.until(lambda: worker.ended == ["quick"])
    await queue.put(job("long"))
    await worker.until(lambda: "long" in worker.begun)
    assert len(worker.begun) == ASIDES_AT_ONCE + 2
    release.set()
    await emptied(queue)
    stop.set()
    async with asyncio.timeout(AT_ONCE):
        await work
    assert sorted(worker.ended) == sorted(["quick", "long", *(one.subject for one in silent)])


async def test_whoever_has_many_waits_and_all_of_theirs_are_done(desk: JobDesk) -> None:
    queue, release = desk.process(), asyncio.Event()

    async def wait() -> None:
        await release.wait()

    many = [aside("many", str(number)) for number in range(ASIDES_AT_ONCE)]
    worker = Worker({one.subject: wait for one in many})
    for one in many:
        await queue.put(one)
    work = asyncio.create_task(work_on_jobs(queue, worker, 1, asyncio.Event()))
    try:
        await worker.until(lambda: worker.begun == [many[0].subject])
        await queue.put(aside("other"))
        await worker.until(lambda: worker.ended == [aside("other").subject])
        release.set()
        await emptied(queue)
    finally:
        work.cancel()
        await asyncio.wait([work])
    assert sorted(worker.ended) == sorted([aside("other").subject, *(one.subject for one in many)])


async def test_a_table_gives_jobs_of_the_wanted_kinds_alone(desk: JobDesk) -> None:
    table = desk.table()
    for kind in JobKind:
        await table.put(Job(kind, "a"))
    asides = await table.take(9, ASIDES)
    assert {one.job.kind for one in asides} == set(ASIDES)
    assert list(await table.take(9, ASIDES)) == []
    assert {one.job.kind for one in await table.take(9, EVERY_KIND - ASIDES)} == EVERY_KIND - ASIDES


async def test_what_of_other_kinds_waits_is_no_news(desk: JobDesk) -> None:
    table = desk.table()
    await table.put(job("a"))
    news = asyncio.create_task(table.news(ASIDES))
    # It may come back once, for what was put before it looked.
    await asyncio.wait([news], timeout=0.3)
    again = asyncio.create_task(table.news(ASIDES))
    assert not (await asyncio.wait([again], timeout=0.5))[0]
    await table.put(aside("u"))
    assert (await asyncio.wait([again], timeout=5))[0]
    news.cancel()
    await asyncio.wait([news])


@pytest.mark.parametrize(("untouched", "failures"), [(True, 5), (False, 0)])
async def test_what_was_done_in_part_begins_its_failures_anew_and_what_was_not_touched_does_not(
    desk: JobDesk, untouched: bool, failures: int
) -> None:
    table = desk.table()
    await table.put(aside("a"))
    (held,) = await table.take(1, ASIDES)
    await table.put_back(held, aside("a"), 5)

    async def act() -> Again:
        if len(worker.begun) > 1:
            await asyncio.Event().wait()
        return Again(untouched=untouched)

    worker = Worker({aside("a").subject: act})
    async with working(desk.on(table), worker):
        await worker.until(lambda: len(worker.begun) == 2)
    (given_back,) = await table.take(1, ASIDES)
    assert given_back.failures == failures
