"""The row is the truth: what it demands and no job brings is asked for again."""

import asyncio
import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from application.files.file_upkeep import Troubles
from application.jobs.asked_work import OnTrouble
from application.knowledge.knowledge_files import ingestion_of
from application.knowledge.reindexing import kept_elsewhere
from application.ports.clock import Clock
from application.ports.embedder import Embedders
from application.ports.job_queue import Job, JobKind, JobQueue
from application.ports.persistence import Transactions
from domain.ids import UserId

AT_ONCE: Final = 100
PUT_AT_ONCE: Final = 20
"""Then others go on: a queue in SQLite takes a job without ever waiting."""
ROUNDS: Final = 100
"""Of one look; what is left waits for the next one."""
UNTOUCHED: Final = timedelta(minutes=5)
"""Longer than a slice of work, a pause between tries, and what the clocks of machines differ by."""
REINDEX_RANK: Final = 1
"""Behind everybody's first file: until it is done the old vectors are searched."""
FIRST_SECONDS: Final = 2.0
EVERY_SECONDS: Final = 60.0
RARELY_SECONDS: Final = 600.0


@dataclass(frozen=True, slots=True)
class KeepKnowledge:
    """Any number of processes may do this at once: a job that waits is not put twice, and one too many does nothing."""

    transactions: Transactions
    queue: JobQueue
    embedders: Embedders
    clock: Clock
    on_trouble: OnTrouble

    async def once(self) -> None:
        """Raises the first trouble, and does not let it keep the rest from being done."""
        troubles = Troubles()
        for step in (self._purge, self._ingest, self._reindex, self._look_for_vectors):
            try:
                await step()
            except Exception as trouble:  # noqa: BLE001 - raised below
                troubles.note(trouble)
        troubles.raise_first()

    async def forever(self) -> None:
        pause = FIRST_SECONDS
        while True:
            # Not all processes at the same moment, also when they were started together.
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311
            try:
                await self.once()
                pause = EVERY_SECONDS
            except Exception as trouble:  # noqa: BLE001 - the next look may find queue and database in order
                self.on_trouble(trouble)
                pause = min(max(2 * pause, EVERY_SECONDS), RARELY_SECONDS)

    async def _purge(self) -> None:
        async with self.transactions.autocommit() as tx:
            subjects = [*await tx.knowledge.removed(AT_ONCE), *await tx.knowledge_files.removed(AT_ONCE)]
        await self._put(Job(JobKind.PURGE, subject) for subject in subjects)

    async def _ingest(self) -> None:
        """A file that waits long moves up, behind no more of its owner's than wait with it."""
        before: Counter[UserId] = Counter()
        for _ in range(ROUNDS):
            now = self.clock.now()
            async with self.transactions.autocommit() as tx:
                files = await tx.knowledge_files.waiting(now - UNTOUCHED, AT_ONCE)
            jobs: list[Job] = []
            for file in files:
                jobs.append(ingestion_of(file, before[file.user_id]))
                before[file.user_id] += 1
            await self._put(jobs)
            if files:
                # After the jobs: whoever dies in between leaves them to the next look.
                async with self.transactions.autocommit() as tx:
                    await tx.knowledge_files.touch([file.knowledge_file_id for file in files], now)
            if len(files) < AT_ONCE:
                return

    async def _reindex(self) -> None:
        model = self.embedders.configured
        if model is None:
            return
        after = None
        for _ in range(ROUNDS):
            async with self.transactions.autocommit() as tx:
                found = await tx.knowledge.of_other_models(model.name, AT_ONCE, after)
            await self._put(Job(JobKind.REINDEX, knowledge_id, rank=REINDEX_RANK) for knowledge_id in found)
            if len(found) < AT_ONCE:
                return
            after = found[-1]

    async def _look_for_vectors(self) -> None:
        async with self.transactions.autocommit() as tx:
            if await tx.knowledge.vectors_elsewhere():
                raise kept_elsewhere()

    async def _put(self, jobs: Iterable[Job]) -> None:
        for count, job in enumerate(jobs, 1):
            await self.queue.put(job)
            if count % PUT_AT_ONCE == 0:
                await asyncio.sleep(0)
