"""Where a queue keeps its jobs. application/jobs/job_work.py makes a JobQueue of it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from application.ports.job_queue import EVERY_KIND, Backlog, Job, Kinds


@dataclass(frozen=True, slots=True)
class TakenJob:
    """A job that this process holds: nobody else gets it, nor its like, until it is ended or its lease ran out.

    `failures` counts the tries before this one that raised.
    """

    number: int
    job: Job
    failures: int = 0


class JobTable(Protocol):
    """Every method raises Unavailable, and may be called again after it: what is done twice is done once.

    What is said about a job that this process no longer holds changes nothing.
    """

    lease_seconds: float
    """How long a job is held without `renew`."""

    async def put(self, job: Job) -> None:
        """A like that waits takes over the better rank, and keeps its time."""
        ...

    async def take(self, most: int, kinds: Kinds = EVERY_KIND) -> Sequence[TakenJob]:
        """Hold those of these kinds whose turn it is, by rank and then by age.

        A job whose like is held by somebody is left.
        """
        ...

    async def renew(self, numbers: Collection[int]) -> Collection[int]:
        """Those of them that are still held. Also without any it shows that this process works on jobs."""
        ...

    async def finish(self, taken: TakenJob) -> None:
        """It is done, and forgotten."""
        ...

    async def put_back(self, taken: TakenJob, job: Job, failures: int) -> None:
        """Behind the others of `job.rank`, and after `job.delay`. A like that waits takes its place and its time."""
        ...

    async def release(self, taken: TakenJob) -> None:
        """As if it had not been taken: in its old place, at once."""
        ...

    async def news(self, kinds: Kinds = EVERY_KIND) -> None:
        """Wait until there may be something of these kinds to take. It may return too early, and does after a while."""
        ...

    async def waiting(self) -> int:
        """How many are not done, held or not."""
        ...

    async def backlog(self) -> Backlog:
        """What is held by somebody whose lease ran out waits too."""
        ...
