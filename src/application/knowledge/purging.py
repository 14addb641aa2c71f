"""What is left of removed bases and files goes in portions, so that it holds up nobody."""

import asyncio
from dataclasses import dataclass
from typing import Final

from application.knowledge.ingestion_steps import PAUSE_SECONDS, REMOVED_AT_ONCE
from application.ports.job_queue import Again, Job
from application.ports.persistence import Transactions
from domain.ids import KnowledgeFileId, KnowledgeId

SLICE_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Purge:
    """Nothing is stored any more for what was removed: once there is no chunk, none follows."""

    transactions: Transactions
    slice_seconds: float = SLICE_SECONDS

    async def __call__(self, job: Job) -> Again | None:
        loop = asyncio.get_running_loop()
        until = loop.time() + self.slice_seconds
        while await self._portion(job.subject):
            if loop.time() >= until:
                return Again()
            await asyncio.sleep(PAUSE_SECONDS)
        async with self.transactions.autocommit() as tx:
            await tx.knowledge_files.forget(KnowledgeFileId(job.subject))
            await tx.knowledge.forget(KnowledgeId(job.subject))
        return None

    async def _portion(self, subject: str) -> int:
        """An id is that of a file, or of a base: there is never one of both."""
        async with self.transactions.autocommit() as tx:
            of_file = await tx.chunks.remove_of_file(KnowledgeFileId(subject), REMOVED_AT_ONCE)
            return of_file or await tx.chunks.remove_of_base(KnowledgeId(subject), REMOVED_AT_ONCE)
