"""Asking for work that a row demands already: the row is the truth, the job a messenger."""

from collections.abc import Callable
from dataclasses import dataclass

from application.ports.job_queue import Job, JobQueue
from domain.errors import Unavailable

OnTrouble = Callable[[Exception], None]


@dataclass(frozen=True, slots=True)
class AskForWork:
    queue: JobQueue
    on_trouble: OnTrouble

    async def __call__(self, job: Job) -> None:
        """Call it when the row is committed. A queue that is away is reported: the upkeep asks again later."""
        try:
            await self.queue.put(job)
        except Unavailable as trouble:
            self.on_trouble(trouble)
