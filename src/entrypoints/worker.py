"""`agentchat worker`: a process without HTTP that takes jobs, on as many machines as wanted."""

import asyncio
import signal
import sys
from collections.abc import Callable
from functools import partial

from dishka import AsyncContainer

from application.jobs.job_shifts import work_on_jobs
from application.knowledge.knowledge_upkeep import KeepKnowledge
from application.ports.job_queue import JobHandler, JobQueue
from domain.errors import Unavailable
from entrypoints.schema_ready import await_database
from entrypoints.settings.loading import Settings

OpenContainer = Callable[[Settings], AsyncContainer]


def refuse_embedded(settings: Settings) -> None:
    """Raises Unavailable: two processes on one SQLite file would hold each other up."""
    if settings.embedded:
        raise Unavailable(
            "needs_postgres",
            "The server does this work itself on SQLite: run `agentchat serve`. Workers of their own need Postgres.",
        )


async def work(settings: Settings, open_container: OpenContainer) -> int:
    """Until a signal; the exit code. Raises Unavailable on SQLite, on another schema, and when the login is refused."""
    refuse_embedded(settings)
    stop = asyncio.Event()
    on_signals(stop.set)
    if not await await_database(settings, stop):
        return 0
    container = open_container(settings)
    keeping: asyncio.Task[None] | None = None
    try:
        queue, handler = await container.get(JobQueue), await container.get(JobHandler)
        places = settings.ingestion.places
        working = asyncio.create_task(work_on_jobs(queue, handler, places, stop))
        upkeep = await container.get(KeepKnowledge)
        keeping = asyncio.create_task(upkeep.forever())
        on_signals(partial(_told_to_stop, stop, working))
        sys.stdout.write(f"agentchat works on jobs, {places} at once\n")
        sys.stdout.flush()
        await _until_stopped(working, stop, settings.shutdown_grace_seconds)
    finally:
        if keeping is not None:
            keeping.cancel()
            await asyncio.wait([keeping])
        await container.close()
    return 0


def _told_to_stop(stop: asyncio.Event, working: "asyncio.Task[None]") -> None:
    """The first time lets what was begun end, for a while; the second gives it back at once."""
    if stop.is_set():
        working.cancel()
    stop.set()


def on_signals(heard: Callable[[], None]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, heard)


async def _until_stopped(working: "asyncio.Task[None]", stop: asyncio.Event, grace: float) -> None:
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait([working, stopped], return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    await asyncio.wait([working], timeout=grace)
    working.cancel()
    await asyncio.wait([working])
    if not working.cancelled() and (trouble := working.exception()):
        raise trouble
