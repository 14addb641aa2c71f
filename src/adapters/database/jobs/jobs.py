"""The embedded queue: jobs in a table of SQLite, worked by the one server of the data folder.

A job is held by a process for as long as it lives: there is one server, so what another process held at the start is
free. No lease is needed, nor a clock that several agree on.
"""

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from typing import Any, Final

from sqlalchemy import (
    Integer,
    Select,
    Text,
    and_,
    bindparam,
    delete,
    exists,
    func,
    literal,
    literal_column,
    select,
    text,
    union_all,
    update,
)
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.engine import Connection
from sqlalchemy.sql import Executable

from adapters.database.columns import Moment
from adapters.database.jobs.jobs_table import DELAYED, READY, WAITS, jobs
from adapters.database.session import Session
from application.ports.job_queue import EVERY_KIND, Backlog, Job, JobKind, Kinds
from application.ports.job_table import TakenJob

LEASE_SECONDS: Final = 60.0
"""How often the lease that is none is renewed: hardly ever."""
POLL_SECONDS: Final = 10.0
"""For what no word is sent of: another process that puts a job, a clock that was set."""
_READY_AT_ONCE: Final = 300

_OWNER: Final = bindparam("owner_", type_=Text)
_NUMBER: Final = jobs.c.number == bindparam("number_", type_=Integer)
_OURS: Final = and_(_NUMBER, jobs.c.owner == _OWNER)
_LIKE: Final = jobs.alias("other")
_SAME: Final = and_(
    _LIKE.c.kind == jobs.c.kind, _LIKE.c.subject == jobs.c.subject, _LIKE.c.generation == jobs.c.generation
)
_HELD: Final = exists(select(_LIKE.c.number).where(_SAME, _LIKE.c.owner.is_not(None)))
_LIKE_WAITS: Final = exists(select(_LIKE.c.number).where(_SAME, _LIKE.c.owner.is_(None)))
# A newer version may have left kinds that this one does not know.
_KNOWN: Final = jobs.c.kind.in_([kind.value for kind in JobKind])

_NEW: Final = insert(jobs)
_LIKE_THAT_WAITS: Final[dict[str, Any]] = {
    "index_elements": [jobs.c.kind, jobs.c.subject, jobs.c.generation],
    "index_where": text(WAITS),
}
_BETTER_RANK: Final = {"rank": func.min(jobs.c.rank, _NEW.excluded.rank)}
_PUT: Final = _NEW.on_conflict_do_update(**_LIKE_THAT_WAITS, set_=_BETTER_RANK)
# Who put its like meanwhile did not know that it has to wait.
_PUT_BACK: Final = _NEW.on_conflict_do_update(
    **_LIKE_THAT_WAITS,
    set_={
        **_BETTER_RANK,
        "due": func.max(jobs.c.due, _NEW.excluded.due),
        "is_ready": func.min(jobs.c.is_ready, _NEW.excluded.is_ready),
        "failures": func.max(jobs.c.failures, _NEW.excluded.failures),
    },
)
_MOMENT: Final = bindparam("now", type_=Moment)
_SOME_DUE: Final = (
    select(jobs.c.number)
    .where(text(DELAYED), jobs.c.due <= _MOMENT)
    .order_by(jobs.c.due)
    .limit(_READY_AT_ONCE)
    .correlate(None)
)
_MAKE_READY: Final = update(jobs).where(jobs.c.number.in_(_SOME_DUE)).values(is_ready=True)
_COUNT: Final = select(func.count()).select_from(jobs)
_FIRST_DUE: Final = func.min(jobs.c.due, type_=Moment).label("due")


@cache
def _take(kinds: Kinds) -> Executable:
    # The plus keeps SQLite from walking all of a kind instead of those that are ready, in their order.
    wanted = literal_column("+jobs.kind", Text).in_([kind.value for kind in sorted(kinds)])
    turn = (
        select(jobs.c.number)
        .where(text(READY), wanted, ~_HELD)
        .order_by(jobs.c.rank, jobs.c.number)
        .limit(bindparam("most", type_=Integer))
        .correlate(None)
    )
    return update(jobs).where(jobs.c.number.in_(turn)).values(owner=_OWNER).returning(jobs)


@cache
def _next(kinds: Kinds) -> Select[Any]:
    return select(
        *(
            select(jobs.c.due)
            .where(jobs.c.owner.is_(None), jobs.c.kind == kind.value, ~_HELD)
            .order_by(jobs.c.due)
            .limit(1)
            .scalar_subquery()
            for kind in sorted(kinds)
        )
    )


def _waiting(kind: JobKind) -> Select[Any]:
    """Each kind alone: the index gives the first due at once, and the number without a look at a job."""
    of_kind = (jobs.c.owner.is_(None), jobs.c.kind == kind.value)
    first = select(_FIRST_DUE).where(*of_kind).scalar_subquery().label("due")
    return select(literal(kind.value, Text).label("kind"), func.count().label("jobs"), first).where(*of_kind)


_HELD_BY_OTHERS: Final = (
    select(jobs.c.kind, func.count().label("jobs"), _FIRST_DUE)
    .where(_KNOWN, jobs.c.owner.is_not(None), jobs.c.owner != _OWNER)
    .group_by(jobs.c.kind)
)
_BACKLOG: Final = union_all(*map(_waiting, JobKind), _HELD_BY_OTHERS)
_REMOVE: Final = delete(jobs).where(_OURS)
_REMOVE_IF_LIKE_WAITS: Final = delete(jobs).where(_OURS, _LIKE_WAITS)
_RELEASE: Final = update(jobs).where(_OURS).values(owner=None)
_STRANGE: Final = and_(jobs.c.owner.is_not(None), jobs.c.owner != _OWNER)
_ADOPT: Final = (delete(jobs).where(_STRANGE, _LIKE_WAITS), update(jobs).where(_STRANGE).values(owner=None))


class SqliteJobs:
    """The JobTable port. Making another one on the same file takes over what this one holds."""

    def __init__(self, session: Session) -> None:
        self.lease_seconds = LEASE_SECONDS
        self._session = session
        self._owner = secrets.token_hex(8)
        self._adopted = False
        self._renewed_at: float | None = None
        self._waiting: dict[asyncio.Event, Kinds] = {}

    async def put(self, job: Job) -> None:
        await self._session.written(_PUT, _values(job, 0))
        self._tell(job.kind)

    async def take(self, most: int, kinds: Kinds = EVERY_KIND) -> Sequence[TakenJob]:
        if not self._adopted:
            await self._session.together(partial(_adopt, self._owner))
            self._adopted = True
        values = {"now": datetime.now(UTC), "most": most, "owner_": self._owner}
        while True:
            if await self._session.affected(_MAKE_READY, values) < _READY_AT_ONCE:
                break
            # Many became due at once: others get their turn before the next of them.
            await asyncio.sleep(0)
        rows = await self._session.written(_take(kinds), values)
        return [_taken(row) for row in sorted(rows, key=lambda row: (row.rank, row.number))]

    async def renew(self, numbers: Collection[int]) -> Collection[int]:
        self._renewed_at = time.monotonic()
        return numbers

    async def finish(self, taken: TakenJob) -> None:
        await self._session.written(_REMOVE, self._ours(taken))
        self._tell(taken.job.kind)

    async def put_back(self, taken: TakenJob, job: Job, failures: int) -> None:
        await self._session.together(partial(_put_back, self._ours(taken), _values(job, failures)))
        self._tell(taken.job.kind)

    async def release(self, taken: TakenJob) -> None:
        await self._session.together(partial(_release, self._ours(taken)))
        self._tell(taken.job.kind)

    async def news(self, kinds: Kinds = EVERY_KIND) -> None:
        event = asyncio.Event()
        # Before the look: what is put after it is told of.
        self._waiting[event] = kinds
        try:
            [moments] = await self._session.rows(_next(kinds), {})
            now = datetime.now(UTC)
            seconds = min(((due - now).total_seconds() for due in moments if due is not None), default=POLL_SECONDS)
            with suppress(TimeoutError):
                async with asyncio.timeout(min(max(seconds, 0.0), POLL_SECONDS)):
                    await event.wait()
        finally:
            del self._waiting[event]

    async def waiting(self) -> int:
        count: int = (await self._session.rows(_COUNT, {}))[0][0]
        return count

    async def backlog(self) -> Backlog:
        """What another process holds waits: it is dead."""
        rows = [row for row in await self._session.rows(_BACKLOG, {"owner_": self._owner}) if row.jobs]
        now = datetime.now(UTC)
        oldest = max(((now - row.due).total_seconds() for row in rows), default=0.0)
        waiting = Counter[JobKind]()
        for row in rows:
            waiting[JobKind(row.kind)] += row.jobs
        is_alive = self._renewed_at is not None and time.monotonic() - self._renewed_at < LEASE_SECONDS
        return Backlog(waiting, max(oldest, 0.0), int(is_alive))

    def _tell(self, kind: JobKind) -> None:
        for event, kinds in self._waiting.items():
            if kind in kinds:
                event.set()

    def _ours(self, taken: TakenJob) -> dict[str, Any]:
        return {"number_": taken.number, "owner_": self._owner}


def _values(job: Job, failures: int) -> dict[str, Any]:
    return {
        "kind": job.kind.value,
        "subject": job.subject,
        "generation": job.generation,
        "rank": job.rank,
        "due": datetime.now(UTC) + max(job.delay, timedelta()),
        "is_ready": job.delay <= timedelta(),
        "failures": failures,
    }


def _taken(row: Any) -> TakenJob:
    return TakenJob(row.number, Job(JobKind(row.kind), row.subject, row.generation, row.rank), row.failures)


def _adopt(owner: str, connection: Connection) -> None:
    for statement in _ADOPT:
        connection.execute(statement, {"owner_": owner})


def _put_back(ours: dict[str, Any], values: dict[str, Any], connection: Connection) -> None:
    if connection.execute(_REMOVE, ours).rowcount:
        connection.execute(_PUT_BACK, values)


def _release(ours: dict[str, Any], connection: Connection) -> None:
    if not connection.execute(_REMOVE_IF_LIKE_WAITS, ours).rowcount:
        connection.execute(_RELEASE, ours)
