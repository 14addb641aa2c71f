"""The part of the object graph that keeps jobs for later: the queue that fits the database."""

import logging
from collections.abc import AsyncIterator

from dishka import Provider, Scope, provide

from adapters.database.engine import postgres_creator
from adapters.database.transactions import DatabaseTransactions
from application.jobs.backlog import LookAtBacklog
from application.jobs.job_work import OnOutage, QueuedJobs
from application.jobs.lasting_trouble import LastingTrouble
from application.ports.job_queue import Job, JobQueue
from entrypoints.settings.loading import Settings
from entrypoints.told_troubles import tell

log = logging.getLogger("agentchat.jobs")

STATEMENT_SECONDS = 10


class Jobs(Provider):
    """Needs the database, which another provider has."""

    scope = Scope.APP

    @provide
    async def queue(self, settings: Settings, database: DatabaseTransactions) -> AsyncIterator[JobQueue]:
        if settings.embedded:
            yield QueuedJobs(database.jobs(), _failed, _away())
            return
        # Imported where it is chosen: the library takes a third of a second.
        from adapters.jobs import PostgresJobs

        connect = postgres_creator(
            settings.database_url.reveal(),
            application_name="agentchat jobs",
            statement_timeout=str(STATEMENT_SECONDS * 1000),
        )
        table = PostgresJobs(connect)
        yield QueuedJobs(table, _failed, _away())
        await table.aclose()

    @provide
    def look(self, queue: JobQueue) -> LookAtBacklog:
        return LookAtBacklog(queue)


def _failed(job: Job, trouble: BaseException) -> None:
    tell(log, "job_failed", trouble, kind=job.kind.value, subject=job.subject)


def _away() -> OnOutage:
    away = LastingTrouble(log, "jobs_away", "jobs_back")

    def told(trouble: Exception | None) -> None:
        if trouble is None:
            away.passed()
        else:
            away.came(trouble, type(trouble.__cause__ or trouble).__name__)

    return told
