"""The JobQueue port, on both databases."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import timedelta

import pytest

from application.ports.job_queue import Again, JobKind, Kinds
from application.ports.job_table import TakenJob
from job_desk import AT_ONCE, JobDesk, Worker, emptied, job, raising, working

Act = Callable[[], Awaitable[Again | None]]


@pytest.fixture
async def desk(database_url: str) -> AsyncIterator[JobDesk]:
    desk = JobDesk(database_url)
    yield desk
    await desk.aclose()


def giving(*answers: Again | None) -> Act:
    """One after the other."""
    left = list(answers)

    async def act() -> Again | None:
        return left.pop(0)

    return act


async def test_rank_goes_before_age_and_age_within_a_rank(desk: JobDesk) -> None:
    queue, worker = desk.process(), Worker()
    for subject, rank in [("c", 2), ("a", 1), ("d", 2), ("first", 0), ("b", 1)]:
        await queue.put(job(subject, rank=rank))
    assert await queue.waiting() == 5
    async with working(queue, worker):
        await worker.until(lambda: len(worker.ended) == 5)
        await emptied(queue)
    assert worker.begun == ["first", "a", "b", "c", "d"]


async def test_a_job_that_waits_is_not_put_twice(desk: JobDesk) -> None:
    queue, worker = desk.process(), Worker()
    for _ in range(3):
        await asyncio.gather(*(queue.put(job("a", rank=3)) for _ in range(3)))
    await queue.put(job("a", generation=1, rank=3))
    assert await queue.waiting() == 2
    async with working(queue, worker):
        await worker.until(lambda: len(worker.ended) == 2)
        await emptied(queue)
    assert worker.begun == ["a", "a"]


async def test_kinds_tell_jobs_of_one_subject_apart(desk: JobDesk) -> None:
    queue = desk.process()
    for kind in JobKind:
        await queue.put(job("a").__class__(kind, "a"))
    assert await queue.waiting() == len(JobKind)


async def test_a_like_that_waits_takes_over_the_better_rank(desk: JobDesk) -> None:
    queue, worker = desk.process(), Worker()
    for subject, rank in [("a", 5), ("b", 3), ("a", 1), ("b", 7)]:
        await queue.put(job(subject, rank=rank))
    async with working(queue, worker):
        await worker.until(lambda: len(worker.ended) == 2)
    assert worker.begun == ["a", "b"]


async def test_a_job_put_while_its_like_is_at_work_is_done_after_it(desk: JobDesk) -> None:
    queue = desk.process()
    release = asyncio.Event()

    async def wait() -> None:
        await release.wait()

    worker = Worker({"a": wait})
    await queue.put(job("a"))
    async with working(queue, worker, places=3):
        await worker.until(lambda: worker.begun == ["a"])
        await asyncio.gather(*(queue.put(job("a")) for _ in range(3)))
        await queue.put(job("b"))
        await worker.until(lambda: "b" in worker.ended)
        assert await queue.waiting() >= 2
        release.set()
        await worker.until(lambda: worker.ended.count("a") == 2)
        await emptied(queue)
    assert worker.most == 1
    assert sorted(worker.begun) == ["a", "a", "b"]


async def test_a_worker_that_waits_takes_a_new_job_at_once(desk: JobDesk) -> None:
    queue, worker = desk.process(), Worker()
    async with working(queue, worker, places=2):
        for subject in "abc":
            await asyncio.sleep(0.15)
            async with asyncio.timeout(AT_ONCE):
                await queue.put(job(subject))
                await worker.until(lambda subject=subject: subject in worker.ended)


async def test_a_delayed_job_is_done_after_its_delay_and_holds_up_no_other(desk: JobDesk) -> None:
    queue, worker = desk.process(), Worker()
    await queue.put(job("late", delay=timedelta(hours=1)))
    await queue.put(job("early", rank=5))
    async with working(queue, worker):
        await worker.until(lambda: worker.ended == ["early"])
        began = time.monotonic()
        await queue.put(job("soon", delay=timedelta(seconds=0.6)))
        async with asyncio.timeout(AT_ONCE):
            await worker.until(lambda: "soon" in worker.ended)
        assert time.monotonic() - began >= 0.6
        async with asyncio.timeout(AT_ONCE):
            while await queue.waiting() != 1:
                await asyncio.sleep(0.02)
    assert worker.begun == ["early", "soon"]


async def test_a_job_that_is_not_done_goes_behind_the_others_of_its_rank(desk: JobDesk) -> None:
    queue, worker = desk.process(), Worker({"a": giving(Again(), Again(), None)})
    for subject in "abc":
        await queue.put(job(subject))
    await queue.put(job("last", rank=1))
    async with working(queue, worker):
        await worker.until(lambda: "last" in worker.ended)
        await emptied(queue)
    assert worker.begun == ["a", "b", "c", "a", "a", "last"]


async def test_a_job_may_change_its_rank_and_wait(desk: JobDesk) -> None:
    queue = desk.process()
    worker = Worker({"a": giving(Again(rank=9), None), "b": giving(Again(timedelta(seconds=0.4)), None)})
    for subject in "abc":
        await queue.put(job(subject))
    began = time.monotonic()
    async with working(queue, worker):
        await worker.until(lambda: len(worker.ended) == 5)
        await emptied(queue)
    assert worker.begun == ["a", "b", "c", "a", "b"]
    assert time.monotonic() - began >= 0.4


async def test_a_job_that_raises_is_told_of_and_tried_again_while_others_go_on(desk: JobDesk) -> None:
    broken = RuntimeError("no such file")
    queue, worker = desk.process(), Worker({"bad": raising(broken), "odd": raising(asyncio.CancelledError())})
    for subject in ("bad", "odd", "good"):
        await queue.put(job(subject))
    began = time.monotonic()
    async with working(queue, worker):
        await worker.until(lambda: {"bad", "odd"} <= set(worker.ended))
        await emptied(queue)
    assert worker.ended[0] == "good"
    assert time.monotonic() - began >= 1.5
    assert desk.told.failures[0] == ("bad", broken)
    assert [subject for subject, _ in desk.told.failures] == ["bad", "odd"]


async def test_as_many_jobs_are_at_work_as_there_are_places(desk: JobDesk) -> None:
    queue, release = desk.process(), asyncio.Event()

    async def wait() -> None:
        await release.wait()

    worker = Worker({str(number): wait for number in range(7)})
    for number in range(7):
        await queue.put(job(str(number)))
    async with working(queue, worker, places=3):
        await worker.until(lambda: len(worker.begun) == 3)
        # Waking it changes nothing.
        await queue.put(job("one more"))
        assert sum(worker.at_work.values()) == 3
        release.set()
        await worker.until(lambda: len(worker.ended) == 8)
    with pytest.raises(ValueError, match="place"):
        await queue.work(worker, 0)


async def test_a_worker_that_is_cancelled_gives_its_jobs_back_at_once_in_their_places(desk: JobDesk) -> None:
    queue, first = desk.process(), Worker({"a": asyncio.Event().wait, "b": asyncio.Event().wait})
    for subject in "abc":
        await queue.put(job(subject))
    async with working(queue, first, places=2):
        await first.until(lambda: len(first.begun) == 2)
    assert await queue.waiting() == 3
    second = Worker()
    async with working(queue, second):
        await second.until(lambda: len(second.ended) == 3)
    # Those that were not given back would come last, when their lease has run out.
    assert second.begun == ["a", "b", "c"]
    assert desk.told.failures == []


async def test_a_worker_that_is_to_stop_ends_what_it_began_and_begins_nothing(desk: JobDesk) -> None:
    queue, stop, release = desk.process(), asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        await release.wait()

    worker = Worker({"a": wait})
    await queue.put(job("a"))
    work = asyncio.create_task(queue.work(worker, 2, stop=stop))
    await worker.until(lambda: worker.begun == ["a"])
    stop.set()
    await queue.put(job("b"))
    assert not (await asyncio.wait([work], timeout=0.3))[0]
    release.set()
    await work
    assert worker.ended == ["a"]
    assert await queue.waiting() == 1


async def test_a_worker_that_waits_stops_at_once(desk: JobDesk) -> None:
    queue, stop = desk.process(), asyncio.Event()
    work = asyncio.create_task(queue.work(Worker(), 2, stop=stop))
    await asyncio.sleep(0.2)
    stop.set()
    async with asyncio.timeout(AT_ONCE):
        await work


async def test_the_jobs_of_a_lost_worker_are_done_by_another(desk: JobDesk) -> None:
    lost = desk.table()
    queue = desk.process()
    for subject in "ab":
        await queue.put(job(subject))
    held = await lost.take(1)
    assert [one.job.subject for one in held] == ["a"]
    # Its like was put meanwhile: it is one job again.
    await queue.put(job("a"))
    worker = Worker()
    async with working(queue, worker, places=2):
        await worker.until(lambda: {"a", "b"} <= set(worker.ended))
        await emptied(queue)
    assert worker.most == 1


async def test_a_like_that_was_put_meanwhile_shortens_no_pause_and_forgets_no_failure(desk: JobDesk) -> None:
    table = desk.table()
    await table.put(job("a"))
    (held,) = await table.take(1)
    await table.put(job("a"))
    await table.put_back(held, job("a", delay=timedelta(seconds=0.6)), 7)
    assert list(await table.take(1)) == []
    assert await table.waiting() == 1
    again: Sequence[TakenJob] = []
    async with asyncio.timeout(AT_ONCE):
        while not again:
            await table.news()
            again = await table.take(1)
    assert [(one.job.subject, one.failures) for one in again] == [("a", 7)]
    # Nor do fewer failures forget more.
    await table.put(job("a"))
    await table.put_back(again[0], job("a"), 8)
    (last,) = await table.take(1)
    assert last.failures == 8


async def test_what_a_lost_worker_says_late_changes_nothing(desk: JobDesk) -> None:
    lost = desk.table()
    await lost.put(job("a"))
    (held,) = await lost.take(1)
    if desk.url.startswith("postgres"):
        await asyncio.sleep(1.3)
    heir = desk.table()
    (again,) = await heir.take(1)
    await lost.finish(held)
    await lost.release(held)
    await lost.put_back(held, held.job, 3)
    assert await heir.waiting() == 1
    assert list(await heir.take(1)) == []
    await heir.finish(again)
    assert await heir.waiting() == 0


async def test_an_idle_worker_looks_seldom(desk: JobDesk) -> None:
    table, looks = desk.table(), 0
    take = table.take

    async def counted(most: int, kinds: Kinds) -> object:
        nonlocal looks
        looks += 1
        return await take(most, kinds)

    table.take = counted
    worker = Worker()
    async with working(desk.on(table), worker, places=2):
        await asyncio.sleep(0.3)
        await table.put(job("later", delay=timedelta(seconds=300)))
        await asyncio.sleep(1.0)
    assert 1 <= looks <= 6
