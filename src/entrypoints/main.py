"""The application as a server runs it: settings, container, HTTP, and what goes on beside the requests."""

import asyncio
import gc
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any, Final

from dishka import AsyncContainer, Provider
from litestar import Litestar

from application.accounts.sessions import Authenticate, LogIn
from application.agents.agents import ListAgents
from application.chat.ask_once import AskOnce
from application.files.file_upkeep import SweepFiles
from application.files.uploads import UploadFile
from application.jobs.job_shifts import work_on_jobs
from application.knowledge.knowledge_upkeep import KeepKnowledge
from application.ports.job_queue import JobHandler, JobQueue
from application.ports.run_signals import RunSignals
from application.runs.log_writer import LogWriter
from application.runs.run_closing import CloseAbandoned
from application.runs.run_registry import RunRegistry
from application.runs.run_upkeep import KeepRunsAlive, SweepRuns
from application.usage.usage import ForgetUsage
from domain.errors import Unavailable
from entrypoints.graph.container import http_config, make_container, secrets_of
from entrypoints.http.app import create_app as create_http_app
from entrypoints.http.front import Drain
from entrypoints.http.http_statistics import HttpStatistics
from entrypoints.metrics.numbers import ServerNumbers
from entrypoints.metrics.workers import WorkerPlace
from entrypoints.settings.loading import Settings, load_settings

EAGER: Final = (Authenticate, AskOnce, LogIn, ListAgents, UploadFile, ServerNumbers)
"""Made at the start and not at the first request: what is wrong with them shows at once, and nobody waits."""


def create_app(
    settings: Settings | None = None, place: WorkerPlace | None = None, instead: Sequence[Provider] = ()
) -> Litestar:
    """Everything that one process serves, over a database whose tables are there: see entrypoints.schema_ready.

    `place` is the process's among several on one socket. `state.stop` is an async callable that lets running answers,
    and uploads, end. Raises SecretFileRefused.
    """
    settings = settings or load_settings()
    secrets_of(settings)
    statistics, drain, stopping = HttpStatistics(), Drain(), asyncio.Event()
    container = make_container(settings, statistics, place, instead)
    beside = [_beside(container, settings, stopping)]
    app = create_http_app(container, http_config(settings), drain, lifespan=beside, statistics=statistics)

    async def stop() -> None:
        drain.active = True
        stopping.set()
        registry = await container.get(RunRegistry)
        grace = settings.shutdown_grace_seconds
        await asyncio.gather(registry.drain(grace), drain.answered(grace))

    app.state.stop = stop
    return app


def _beside(
    container: AsyncContainer, settings: Settings, stopping: asyncio.Event
) -> Callable[[Litestar], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncGenerator[None, None]:
        for part in EAGER:
            await container.get(part)
        _settle_heap()
        if settings.embedded:
            # There is one process: a run that is still being made belongs to one that died.
            await (await container.get(CloseAbandoned)).all_unless_waiting()
        keepers = {asyncio.create_task(work) for work in await _upkeep(container)}
        if settings.ingestion.in_server:
            keepers |= {asyncio.create_task(work) for work in await _jobs(container, settings, stopping)}
        place, numbers = await container.get(WorkerPlace), await container.get(ServerNumbers)
        try:
            async with place.answering(numbers.packed):
                yield
        finally:
            registry = await container.get(RunRegistry)
            await registry.drain(0)
            for keeper in keepers:
                keeper.cancel()
            await asyncio.wait(keepers)
            await container.close()

    return lifespan


async def _upkeep(container: AsyncContainer) -> tuple[Coroutine[Any, Any, None], ...]:
    """What goes on for as long as the process serves."""
    alive, sweep = await container.get(KeepRunsAlive), await container.get(SweepRuns)
    writer, signals = await container.get(LogWriter), await container.get(RunSignals)
    files, usage = await container.get(SweepFiles), await container.get(ForgetUsage)
    # Without the database there are no leases yet, and 503 for whoever asks; it is looked at again and again.
    with suppress(Unavailable):
        await alive.once()
    return alive.forever(), sweep.forever(), writer.forever(), signals.listen(), files.forever(), usage.forever()


async def _jobs(
    container: AsyncContainer, settings: Settings, stopping: asyncio.Event
) -> tuple[Coroutine[Any, Any, None], ...]:
    """What `agentchat worker` does elsewhere."""
    queue, handler = await container.get(JobQueue), await container.get(JobHandler)
    keep = await container.get(KeepKnowledge)
    return work_on_jobs(queue, handler, settings.ingestion.places, stopping), keep.forever()


def _settle_heap() -> None:
    """What was made at the start stays: the collector need not look at it again, nor so often at what streams leave."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
