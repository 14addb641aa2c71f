"""Jobs of a table, and how a process works them: places, leases, second tries, outages, and giving back."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, TypeVar

from application.ports.job_queue import EVERY_KIND, Again, Backlog, Job, JobHandler, Kinds
from application.ports.job_table import JobTable, TakenJob
from domain.knowledge.knowledge import pause_before

FIRST_DELAY: Final = 0.1
LONGEST_DELAY: Final = 5.0
GIVING_BACK_SECONDS: Final = 3.0
"""A table that is away does not hold up the end of a process: the leases run out by themselves."""

OnFailure = Callable[[Job, BaseException], None]
OnOutage = Callable[[Exception | None], None]
"""None when it is over."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class QueuedJobs:
    """The JobQueue port over any JobTable."""

    table: JobTable
    on_failure: OnFailure
    on_outage: OnOutage

    async def put(self, job: Job) -> None:
        await self.table.put(job)

    async def waiting(self) -> int:
        return await self.table.waiting()

    async def backlog(self) -> Backlog:
        return await self.table.backlog()

    async def work(
        self, handler: JobHandler, places: int, *, stop: asyncio.Event | None = None, kinds: Kinds = EVERY_KIND
    ) -> None:
        if places < 1:
            raise ValueError("there must be a place to work in")
        shift = _Shift(self, handler, places, stop or asyncio.Event(), kinds)
        keeper = asyncio.create_task(shift.keep_leases())
        try:
            await shift.take_until_stop()
            await shift.finish_rest()
        finally:
            await shift.end(keeper)


class Patience:
    """Calls a table until it answers. An outage is told of once, however many wait for its end."""

    __slots__ = ("_away", "_on_outage")

    def __init__(self, on_outage: OnOutage) -> None:
        self._on_outage = on_outage
        self._away = False

    async def outlast(self, call: Callable[[], Awaitable[_T]]) -> _T:
        delay = FIRST_DELAY
        while True:
            try:
                answer = await call()
            except Exception as trouble:  # noqa: BLE001 - a worker that gives up would leave every job lying
                if not self._away:
                    self._away = True
                    self._on_outage(trouble)
            else:
                if self._away:
                    self._away = False
                    self._on_outage(None)
                return answer
            await asyncio.sleep(delay * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, no secret
            delay = min(2 * delay, LONGEST_DELAY)


@dataclass(frozen=True, slots=True)
class _AtWork:
    taken: TakenJob
    task: "asyncio.Task[None]"


class _Shift:
    """One call of `work`."""

    def __init__(self, jobs: QueuedJobs, handler: JobHandler, places: int, stop: asyncio.Event, kinds: Kinds) -> None:
        self._table = jobs.table
        self._on_failure = jobs.on_failure
        self._patience = Patience(jobs.on_outage)
        self._handler = handler
        self._places = places
        self._stop = stop
        self._kinds = kinds
        self._at_work: dict[int, _AtWork] = {}
        self._taking: asyncio.Task[None] | None = None

    @property
    def _tasks(self) -> set["asyncio.Task[None]"]:
        return {one.task for one in self._at_work.values()}

    async def take_until_stop(self) -> None:
        stopped = asyncio.create_task(self._stop.wait())
        news: asyncio.Task[None] | None = None
        try:
            while not self._stop.is_set():
                if len(self._at_work) >= self._places:
                    await _first([stopped, *self._tasks])
                    continue
                # Never cancelled in mid-call: what the table then gave would be held by nobody.
                self._taking = asyncio.create_task(self._take())
                await _first([stopped, self._taking])
                if len(self._at_work) < self._places:
                    news = asyncio.create_task(self._patience.outlast(partial(self._table.news, self._kinds)))
                    await _first([stopped, news])
        finally:
            stopped.cancel()
            if news is not None:
                news.cancel()

    async def finish_rest(self) -> None:
        """What was taken before the stop, and nothing new."""
        while self._at_work:
            await _first(self._tasks)

    async def _take(self) -> None:
        free = self._places - len(self._at_work)
        for taken in await self._patience.outlast(partial(self._table.take, free, self._kinds)):
            # It may be one of ours whose lease ran out: it is held again, and goes on.
            if taken.number not in self._at_work:
                self._begin(taken)

    def _begin(self, taken: TakenJob) -> None:
        task = asyncio.create_task(self._do(taken))
        self._at_work[taken.number] = _AtWork(taken, task)
        task.add_done_callback(lambda _: self._at_work.pop(taken.number, None))

    async def _do(self, taken: TakenJob) -> None:
        try:
            if self._stop.is_set():
                await self._patience.outlast(partial(self._table.release, taken))
                return
            again = await self._handler(taken.job)
        except asyncio.CancelledError as cancelled:
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise
            # Something within the handler was cancelled, not the handler.
            await self._failed(taken, cancelled)
        except Exception as trouble:  # noqa: BLE001 - told of and tried again
            await self._failed(taken, trouble)
        else:
            await self._settle(taken, again)

    async def _failed(self, taken: TakenJob, trouble: BaseException) -> None:
        self._on_failure(taken.job, trouble)
        failures = taken.failures + 1
        later = replace(taken.job, delay=pause_before(failures) * random.uniform(0.8, 1.2))  # noqa: S311
        await self._patience.outlast(partial(self._table.put_back, taken, later, failures))

    async def _settle(self, taken: TakenJob, again: Again | None) -> None:
        if again is None:
            await self._patience.outlast(partial(self._table.finish, taken))
            return
        rank = taken.job.rank if again.rank is None else again.rank
        job = replace(taken.job, rank=rank, delay=again.delay)
        failures = taken.failures if again.untouched else 0
        await self._patience.outlast(partial(self._table.put_back, taken, job, failures))

    async def keep_leases(self) -> None:
        """A job that was lost meanwhile is another worker's: its handler is stopped here."""
        while True:
            numbers = set(self._at_work)
            held = await self._patience.outlast(partial(self._table.renew, numbers))
            for number in numbers.difference(held):
                if lost := self._at_work.get(number):
                    lost.task.cancel()
            await asyncio.sleep(self._table.lease_seconds / 4)

    async def end(self, keeper: "asyncio.Task[None]") -> None:
        """Stop what is at work, and give back what the table still holds for it."""
        self._stop.set()
        keeper.cancel()
        if self._taking is not None:
            await _stopped([self._taking])
        begun = list(self._at_work.values())
        for one in begun:
            one.task.cancel()
        await _stopped([one.task for one in begun])
        # Of one that does not let itself be stopped, the end of the process and of the lease must do.
        ended = [one.taken for one in begun if one.task.done()]
        outlast, release = self._patience.outlast, self._table.release
        await _stopped([asyncio.create_task(outlast(partial(release, taken))) for taken in ended])


async def _first(tasks: Iterable["asyncio.Task[Any]"]) -> None:
    await asyncio.wait(list(tasks), return_when=asyncio.FIRST_COMPLETED)
    # One that is done leaves by its callback, in the loop's next round.
    await asyncio.sleep(0)


async def _stopped(tasks: Iterable["asyncio.Task[Any]"]) -> None:
    """Wait for them for a while, then no longer."""
    if tasks := list(tasks):
        _, pending = await asyncio.wait(tasks, timeout=GIVING_BACK_SECONDS)
        for task in pending:
            task.cancel()
