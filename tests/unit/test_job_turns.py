"""Of one person's jobs about dialogs one is at work at a time."""

import asyncio
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from application.jobs.job_shifts import OneForEach
from application.ports.job_queue import Again, Job, JobKind
from domain.dialogs.dialog_subjects import dialog_subject, parse_dialog_subject
from domain.ids import DialogId, UserId

STEPS = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 80), st.booleans()), max_size=12)


@given(STEPS)
def test_of_one_person_one_is_at_work_and_the_others_come_back_later_and_behind(
    steps: list[tuple[str, int, bool]],
) -> None:
    asyncio.run(_play(steps))


async def _play(steps: list[tuple[str, int, bool]]) -> None:
    at_work, going_on = Counter[str](), dict[str, asyncio.Event]()

    async def work(job: Job) -> Again | None:
        owner, _ = parse_dialog_subject(job.subject)
        at_work[owner] += 1
        assert at_work[owner] == 1
        await going_on[owner].wait()
        at_work[owner] -= 1
        return None

    turns, tasks = OneForEach(work), dict[str, asyncio.Task[Again | None]]()
    for number, (owner, rank, ends) in enumerate(steps):
        job = Job(JobKind.REMEMBER, dialog_subject(UserId(owner), DialogId(str(number))), rank=rank)
        if owner in tasks:
            again = await turns(job)
            assert again is not None
            assert again.rank == rank + 1
            assert again.untouched
            assert 1 <= again.delay.total_seconds() <= 64
        else:
            going_on[owner] = asyncio.Event()
            tasks[owner] = asyncio.create_task(turns(job))
            await asyncio.sleep(0)
            assert at_work[owner] == 1
        if ends:
            going_on[owner].set()
            assert await tasks.pop(owner) is None
    for owner, task in tasks.items():
        going_on[owner].set()
        assert await task is None


async def test_one_that_fails_or_is_cancelled_leaves_its_turn() -> None:
    begun = asyncio.Event()

    async def work(job: Job) -> Again | None:
        if job.kind is JobKind.SUMMARISE:
            raise ValueError("broken")
        begun.set()
        await asyncio.Event().wait()
        return None

    turns, subject = OneForEach(work), dialog_subject(UserId("a"), DialogId("d"))
    for _ in range(2):
        with pytest.raises(ValueError, match="broken"):
            await turns(Job(JobKind.SUMMARISE, subject))
    task = asyncio.create_task(turns(Job(JobKind.REMEMBER, subject)))
    await begun.wait()
    task.cancel()
    await asyncio.wait([task])
    begun.clear()
    again = asyncio.create_task(turns(Job(JobKind.REMEMBER, subject)))
    await begun.wait()
    again.cancel()
    await asyncio.wait([again])
