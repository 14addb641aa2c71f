"""Work that is done later, by this process or another one, and by a new one when its worker dies."""

import asyncio
from collections.abc import Mapping, Set
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final, Protocol


class JobKind(StrEnum):
    """INGEST is about a knowledge file, REINDEX about a base, for another embedding model.

    PURGE takes away what a removed base or file left. SUMMARISE and REMEMBER are about a dialog: see
    domain.dialogs.dialog_subjects.
    """

    INGEST = "ingest"
    REINDEX = "reindex"
    PURGE = "purge"
    SUMMARISE = "summarise"
    REMEMBER = "remember"


Kinds = Set[JobKind]
EVERY_KIND: Final[Kinds] = frozenset(JobKind)


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be done to `subject`, an id. `rank` 0 goes first; of one rank, what was put first.

    A job of a kind and subject that waits already is not put twice; `generation` tells apart those that differ.
    """

    kind: JobKind
    subject: str
    generation: int = 0
    rank: int = 0
    delay: timedelta = timedelta()


@dataclass(frozen=True, slots=True)
class Again:
    """The job is not done: it is put again, behind the others of its rank, and no sooner than after `delay`."""

    delay: timedelta = timedelta()
    rank: int | None = None
    """None keeps it."""
    untouched: bool = False
    """Nothing of it was done: its failures count on."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """What nobody holds, also what is not due yet; how long what is due has waited, at most; who works on jobs."""

    waiting: Mapping[JobKind, int]
    oldest_seconds: float
    """0 when nothing is due."""
    workers: int
    """Processes that showed within a lease that they live."""


class JobHandler(Protocol):
    async def __call__(self, job: Job) -> Again | None: ...


"""Does some of the job. It may be called twice for one job, even at once: what it does must bear that."""


class JobQueue(Protocol):
    async def put(self, job: Job) -> None:
        """The job will be done at least once. Raises Unavailable."""
        ...

    async def work(
        self, handler: JobHandler, places: int, *, stop: asyncio.Event | None = None, kinds: Kinds = EVERY_KIND
    ) -> None:
        """Do jobs, at most `places` at once, until cancelled; what was begun is then given back, and not lost.

        Of these kinds alone: others may be worked on beside it, in places of their own.

        Once `stop` is set it begins nothing new, and returns when the rest is done. One job, by kind, subject and
        generation, is at work once at a time, unless its worker was cut off for longer than a lease.

        A handler's exception is reported, and the job tried again after a while. A worker's death frees its jobs
        within seconds. Outages of the queue are waited out.
        """
        ...

    async def waiting(self) -> int:
        """How many jobs are not done. Raises Unavailable."""
        ...

    async def backlog(self) -> Backlog:
        """As things stand now. It looks at every job: not to be asked all the time. Raises Unavailable."""
        ...
