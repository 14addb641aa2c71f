"""The JobTable port over pgqueuer: its tables, its way to take jobs and its notifications, with our own loop around.

Its own loop ends with the first outage, and puts a job that is tried again before those that waited longer. A like is
kept from being put twice by pgqueuer's `dedupe_key`; a job that is taken gives it up, so that its like can be put
meanwhile. `headers` carry how often it failed.
"""

import asyncio
import json
import random
import time
import uuid
from collections.abc import Collection, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Final

import asyncpg
from pgqueuer.domain.models import Job as Row
from pgqueuer.domain.types import QueueEntrypoint, QueueManagerId
from pgqueuer.ports.repository import EntrypointExecutionParameter

from adapters.jobs.connection import STATEMENT_SECONDS, Connect, JobConnection
from adapters.jobs.schema import CHANNEL, Connection, install, queries
from application.ports.job_queue import EVERY_KIND, Backlog, Job, JobKind, Kinds
from application.ports.job_table import TakenJob

LEASE_SECONDS: Final = 8.0
POLL_SECONDS: Final = 30.0
"""For what no word comes of. What is due, or held by somebody who died, is waited for to the moment."""
LIKE_SECONDS: Final = 0.4
"""How often a job looks whether its like is still at work."""
SOON_SECONDS: Final = 0.1
TIDY_SECONDS: Final = 600.0
KEPT_LOG: Final = timedelta(days=1)

_UNLIMITED: Final = EntrypointExecutionParameter(concurrency_limit=0)
_NAMES: Final = [kind.value for kind in JobKind]

_OPEN_KEYS: Final = """
    UPDATE agentchat_jobs.pgqueuer SET dedupe_key = NULL WHERE id = ANY($1::bigint[]) AND queue_manager_id = $2
"""
_HINDERED: Final = """
    SELECT mine.id FROM agentchat_jobs.pgqueuer mine WHERE mine.id = ANY($1::bigint[]) AND EXISTS (
        SELECT FROM agentchat_jobs.pgqueuer other WHERE other.status = 'picked' AND other.id <> mine.id
            AND other.entrypoint = mine.entrypoint AND other.payload = mine.payload
            AND other.heartbeat > now() - $2::interval
            AND (other.id < mine.id OR other.id <> ALL($1::bigint[])))
"""
_RENEW: Final = """
    WITH here AS (
        INSERT INTO agentchat_jobs.workers (worker, seen) VALUES ($2, now())
        ON CONFLICT (worker) DO UPDATE SET seen = now()
    )
    UPDATE agentchat_jobs.pgqueuer SET heartbeat = now()
    WHERE id = ANY($1::bigint[]) AND status = 'picked' AND queue_manager_id = $2 RETURNING id
"""
_HOLD: Final = """
    SELECT id FROM agentchat_jobs.pgqueuer
    WHERE id = $1 AND status = 'picked' AND queue_manager_id = $2 FOR UPDATE
"""
_REMOVE: Final = """
    DELETE FROM agentchat_jobs.pgqueuer
    WHERE id = $1 AND status = 'picked' AND queue_manager_id = $2 RETURNING id
"""
_RELEASE: Final = """
    UPDATE agentchat_jobs.pgqueuer SET status = 'queued', queue_manager_id = NULL, dedupe_key = $3
    WHERE id = $1 AND status = 'picked' AND queue_manager_id = $2
"""
_POSTPONE: Final = """
    UPDATE agentchat_jobs.pgqueuer SET
        execute_after = greatest(execute_after, now() + $2::interval),
        headers = jsonb_set(coalesce(headers, '{}'), '{failures}', to_jsonb(
            greatest(coalesce((headers ->> 'failures')::int, 0), $3::int)::text))
    WHERE dedupe_key = $1 AND status = 'queued'
"""
_NEXT: Final = """
    SELECT extract(epoch FROM least(
        (SELECT min(execute_after) FROM agentchat_jobs.pgqueuer
            WHERE status = 'queued' AND entrypoint = ANY($1::text[])),
        (SELECT min(heartbeat) + $2::interval FROM agentchat_jobs.pgqueuer
            WHERE status = 'picked' AND entrypoint = ANY($1::text[]))
    ) - now())::float8
"""
_BACKLOG: Final = """
    SELECT entrypoint, count(*) AS jobs, max(extract(epoch FROM now() - since))::float8 AS seconds FROM (
        SELECT entrypoint, execute_after AS since FROM agentchat_jobs.pgqueuer WHERE status = 'queued'
        UNION ALL
        SELECT entrypoint, heartbeat + $2::interval FROM agentchat_jobs.pgqueuer
            WHERE status = 'picked' AND heartbeat <= now() - $2::interval
    ) free WHERE entrypoint = ANY($1::text[]) GROUP BY entrypoint
"""
_ALIVE: Final = "SELECT count(*) FROM agentchat_jobs.workers WHERE seen > now() - $1::interval"
_FORGET: Final = (
    "DELETE FROM agentchat_jobs.pgqueuer_log WHERE created < now() - $1::interval",
    "DELETE FROM agentchat_jobs.workers WHERE seen < now() - $1::interval",
)


class PostgresJobs:
    """Close it with `aclose`. `connect` opens a connection of asyncpg."""

    def __init__(
        self, connect: Connect, *, lease_seconds: float = LEASE_SECONDS, statement_seconds: float = STATEMENT_SECONDS
    ) -> None:
        self.lease_seconds = lease_seconds
        self._lease = timedelta(seconds=lease_seconds)
        self._connection = JobConnection(connect, statement_seconds=statement_seconds)
        self._owner = QueueManagerId(uuid.uuid4())
        self._tidied = -TIDY_SECONDS

    async def prepare(self) -> None:
        """Bring the tables up to the library's version. Where there are none, the first call makes them."""
        await self._connection.run(install)

    async def put(self, job: Job) -> None:
        await self._connection.run(partial(_put, job, 0))

    async def take(self, most: int, kinds: Kinds = EVERY_KIND) -> Sequence[TakenJob]:
        if time.monotonic() - self._tidied > TIDY_SECONDS:
            self._tidied = time.monotonic()
            await self._connection.run(_tidy)
        return await self._connection.run(partial(self._take, most, kinds))

    async def _take(self, most: int, kinds: Kinds, connection: Connection) -> Sequence[TakenJob]:
        wanted = {QueueEntrypoint(kind.value): _UNLIMITED for kind in kinds}
        rows = await queries(connection).dequeue(most, wanted, self._owner, None, self._lease)
        if not rows:
            return []
        numbers = [row.id for row in rows]
        await connection.execute(_OPEN_KEYS, numbers, self._owner)
        hindered = {row["id"] for row in await connection.fetch(_HINDERED, numbers, self._lease)}
        taken = [_taken(row) for row in rows]
        for one in taken:
            if one.number in hindered:
                # Two that took likes at once both step back: not to meet again.
                later = timedelta(seconds=LIKE_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311
                again = Job(one.job.kind, one.job.subject, one.job.generation, one.job.rank, later)
                await self._replace(one, again, one.failures, connection)
        return [one for one in taken if one.number not in hindered]

    async def renew(self, numbers: Collection[int]) -> Collection[int]:
        rows = await self._connection.run(lambda connection: connection.fetch(_RENEW, list(numbers), self._owner))
        return {row["id"] for row in rows}

    async def finish(self, taken: TakenJob) -> None:
        await self._connection.run(partial(self._finish, taken))

    async def _finish(self, taken: TakenJob, connection: Connection) -> None:
        async with connection.transaction():
            if await connection.fetchval(_HOLD, taken.number, self._owner) is not None:
                done = queries(connection).qbq.build_log_job_query()
                await connection.execute(done, [taken.number], ["successful"], [None])

    async def put_back(self, taken: TakenJob, job: Job, failures: int) -> None:
        await self._connection.run(partial(self._replace, taken, job, failures))

    async def _replace(self, taken: TakenJob, job: Job, failures: int, connection: Connection) -> None:
        async with connection.transaction():
            if await connection.fetchval(_REMOVE, taken.number, self._owner) is not None:
                await _put(job, failures, connection)
                # Who put its like meanwhile did not know that it has to wait.
                await connection.execute(_POSTPONE, _key(job), max(job.delay, timedelta()), failures)

    async def release(self, taken: TakenJob) -> None:
        await self._connection.run(partial(self._release, taken))

    async def _release(self, taken: TakenJob, connection: Connection) -> None:
        try:
            async with connection.transaction():
                await connection.execute(_RELEASE, taken.number, self._owner, _key(taken.job))
                # pgqueuer tells of what is put and of what is done, but not of this.
                await connection.execute("SELECT pg_notify($1, '{}')", CHANNEL)
        except asyncpg.UniqueViolationError:
            await connection.execute(_REMOVE, taken.number, self._owner)

    async def news(self, kinds: Kinds = EVERY_KIND) -> None:
        event = asyncio.Event()
        # Before the look: what changes after it is told of.
        self._connection.waiting.add(event)
        try:
            await self._connection.listen()
            event.clear()
            names = [kind.value for kind in kinds]
            soonest = await self._connection.run(lambda connection: connection.fetchval(_NEXT, names, self._lease))
            seconds = POLL_SECONDS if soonest is None else min(max(soonest, SOON_SECONDS), POLL_SECONDS)
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await event.wait()
        finally:
            self._connection.waiting.discard(event)

    async def waiting(self) -> int:
        size = await self._connection.run(lambda connection: queries(connection).queue_size())
        return sum(one.count for one in size if one.status in {"queued", "picked"})

    async def backlog(self) -> Backlog:
        return await self._connection.run(self._backlog)

    async def _backlog(self, connection: Connection) -> Backlog:
        rows = await connection.fetch(_BACKLOG, _NAMES, self._lease)
        waiting = {JobKind(row["entrypoint"]): row["jobs"] for row in rows}
        oldest = max((row["seconds"] for row in rows), default=0.0)
        return Backlog(waiting, max(oldest, 0.0), await connection.fetchval(_ALIVE, self._lease))

    async def aclose(self) -> None:
        await self._connection.aclose()


async def _put(job: Job, failures: int, connection: Connection) -> None:
    await queries(connection).enqueue(
        job.kind.value,
        _payload(job),
        -job.rank,
        max(job.delay, timedelta()),
        _key(job),
        {"failures": str(failures)},
        on_conflict="update_priority",
    )


async def _tidy(connection: Connection) -> None:
    """The library's log of what became of jobs grows without end otherwise, and so do the dead workers."""
    for statement in _FORGET:
        await connection.execute(statement, KEPT_LOG)


def _payload(job: Job) -> bytes:
    """Likes have the same."""
    return json.dumps([job.subject, job.generation]).encode()


def _key(job: Job) -> str:
    return f"{job.kind.value} {_payload(job).decode()}"


def _taken(row: Row) -> TakenJob:
    subject, generation = json.loads(row.payload or b"null")
    job = Job(JobKind(row.entrypoint), subject, generation, -row.priority)
    return TakenJob(row.id, job, int(str((row.headers or {}).get("failures", 0))))
