"""Whatever the queue brings goes to whoever does it."""

from collections.abc import Mapping
from dataclasses import dataclass

from application.ports.job_queue import Again, Job, JobHandler, JobKind


@dataclass(frozen=True, slots=True)
class DoJob:
    """What a worker does with all that it takes."""

    handlers: Mapping[JobKind, JobHandler]

    async def __call__(self, job: Job) -> Again | None:
        return await self.handlers[job.kind](job)
