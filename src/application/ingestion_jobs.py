"""Whatever the queue brings goes to whoever does it."""

from dataclasses import dataclass
from typing import assert_never

from application.ingestion import Ingest
from application.ports.job_queue import Again, Job, JobKind
from application.purging import Purge
from application.reindexing import Reindex


@dataclass(frozen=True, slots=True)
class DoJob:
    """The Handler of a worker."""

    ingest: Ingest
    reindex: Reindex
    purge: Purge

    async def __call__(self, job: Job) -> Again | None:
        match job.kind:
            case JobKind.INGEST:
                return await self.ingest(job)
            case JobKind.REINDEX:
                return await self.reindex(job)
            case JobKind.PURGE:
                return await self.purge(job)
            case _:
                assert_never(job.kind)
