"""Queues on either database as processes open them, and a worker that notes what it does."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Protocol

import asyncpg

from adapters.database.transactions import DatabaseTransactions
from adapters.jobs import PostgresJobs
from application.jobs.job_work import QueuedJobs
from application.ports.job_queue import Again, Job, JobKind
from application.ports.job_table import JobTable
from servers.postgres import Postgres

LEASE: float = 1.2
PATIENCE = 25.0
AT_ONCE = 8.0
"""On the slowest machine; workers look by themselves after ten seconds."""


class OpenTable(JobTable, Protocol):
    async def aclose(self) -> None: ...


@dataclass
class Told:
    """What the queue told: failures by subject, outages, and their ends as None."""

    failures: list[tuple[str, BaseException]] = field(default_factory=list)
    outages: list[Exception | None] = field(default_factory=list)


@dataclass
class JobDesk:
    """`process()` opens the queue as another process does: on SQLite there is one, so it ends the one before."""

    url: str
    told: Told = field(default_factory=Told)
    opened: list[DatabaseTransactions | PostgresJobs] = field(default_factory=list)

    def table(self, url: str | None = None) -> JobTable:
        url = url or self.url
        if url.startswith("sqlite"):
            transactions = DatabaseTransactions.open(url)
            self.opened.append(transactions)
            return transactions.jobs()
        table = PostgresJobs(lambda: asyncpg.connect(url, timeout=2), lease_seconds=LEASE)
        self.opened.append(table)
        return table

    def process(self, url: str | None = None) -> QueuedJobs:
        return self.on(self.table(url))

    def on(self, table: JobTable) -> QueuedJobs:
        return QueuedJobs(
            table, lambda job, trouble: self.told.failures.append((job.subject, trouble)), self.told.outages.append
        )

    async def aclose(self) -> None:
        for one in self.opened:
            await one.aclose()


@dataclass
class Worker:
    """Notes each job when it begins and ends, and does with it what `acts` says, by subject; else nothing."""

    acts: dict[str, Callable[[], Awaitable[Again | None]]] = field(default_factory=dict)
    begun: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    at_work: dict[tuple[str, str, int], int] = field(default_factory=dict)
    most: int = 0
    """How often one job was at work at the same time."""
    change: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, job: Job) -> Again | None:
        like = (job.kind, job.subject, job.generation)
        self.at_work[like] = self.at_work.get(like, 0) + 1
        self.most = max(self.most, self.at_work[like])
        self.begun.append(job.subject)
        self.change.set()
        try:
            act = self.acts.get(job.subject)
            again = await act() if act else None
            self.ended.append(job.subject)
            return again
        finally:
            self.at_work[like] -= 1
            self.change.set()

    async def until(self, met: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not met():
                self.change.clear()
                await self.change.wait()


@asynccontextmanager
async def working(queue: QueuedJobs, worker: Worker, places: int = 1) -> AsyncIterator["asyncio.Task[None]"]:
    task = asyncio.create_task(queue.work(worker, places))
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def emptied(queue: QueuedJobs) -> None:
    """Until nothing waits."""
    async with asyncio.timeout(PATIENCE):
        while await queue.waiting():
            await asyncio.sleep(0.02)


def job(subject: str, **more: object) -> Job:
    return Job(JobKind.INGEST, subject, **more)


def raising(error: BaseException, times: int = 1) -> Callable[[], Awaitable[None]]:
    """Raises so often, then succeeds."""
    calls = itertools.count()

    async def act() -> None:
        if next(calls) < times:
            raise error

    return act


def through(port: int, url: str) -> str:
    return f"postgresql://postgres@127.0.0.1:{port}/{url.rpartition('/')[2]}"


def clear_jobs(postgres: Postgres, url: str) -> None:
    postgres.execute("DELETE FROM agentchat_jobs.pgqueuer", url.rpartition("/")[2])
