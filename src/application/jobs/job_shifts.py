"""Which jobs a process works on side by side: those that take its machine, and those that only wait for a model.

A model may be silent for minutes, and people bring their own. So no document waits behind a summary, and nobody's
models keep the places from everybody else's.
"""

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from application.ports.job_queue import EVERY_KIND, Again, Job, JobHandler, JobKind, JobQueue, Kinds
from domain.dialogs.dialog_subjects import parse_dialog_subject
from domain.ids import UserId

ASIDES: Final[Kinds] = frozenset({JobKind.SUMMARISE, JobKind.REMEMBER})
"""All about dialogs."""
ASIDES_AT_ONCE: Final = 4
MOST_DOUBLED: Final = 6
"""So often the second that somebody's next job waits is doubled."""


async def work_on_jobs(queue: JobQueue, handler: JobHandler, places: int, stop: asyncio.Event) -> None:
    """As `JobQueue.work`. What waits for models has places beside the given ones."""
    async with asyncio.TaskGroup() as shifts:
        shifts.create_task(queue.work(handler, places, stop=stop, kinds=EVERY_KIND - ASIDES))
        shifts.create_task(queue.work(OneForEach(handler), ASIDES_AT_ONCE, stop=stop, kinds=ASIDES))


@dataclass(frozen=True, slots=True)
class OneForEach:
    """A handler of jobs about dialogs. Of one person's it does one after the other; who has many waits behind others.

    Two lessons of one person with one agent would overtake each other anyway.
    """

    handler: JobHandler
    _at_work: set[UserId] = field(default_factory=set)

    async def __call__(self, job: Job) -> Again | None:
        owner, _ = parse_dialog_subject(job.subject)
        if owner in self._at_work:
            # Later each time: a thousand of them are not looked at every second.
            return Again(timedelta(seconds=2 ** min(job.rank, MOST_DOUBLED)), job.rank + 1, untouched=True)
        self._at_work.add(owner)
        try:
            return await self.handler(job)
        finally:
            self._at_work.discard(owner)
