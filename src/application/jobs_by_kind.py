"""Whatever the queue brings goes to whoever does it."""

from collections.abc import Mapping
from dataclasses import dataclass

from application.ports.job_queue import Again, Handler, Job, JobKind


@dataclass(frozen=True, slots=True)
class DoJob:
    """The Handler of a worker."""

    handlers: Mapping[JobKind, Handler]

    async def __call__(self, job: Job) -> Again | None:
        return await self.handlers[job.kind](job)
