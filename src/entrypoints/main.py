"""The application as a server runs it: settings, container, HTTP, and what goes on beside the requests."""

import asyncio
import gc
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from typing import Final

from dishka import AsyncContainer
from litestar import Litestar

from application.agents import ListAgents
from application.chat import StartChat
from application.ports.persistence import Transactions
from application.run_registry import KeepRunsAlive, RunRegistry
from application.sessions import Authenticate, LogIn
from entrypoints.container import http_config, make_container, secrets_of
from entrypoints.http.app import create_app as create_http_app
from entrypoints.http.front import Drain
from entrypoints.settings import Settings, load_settings

END_OF_TIME: Final = datetime.max.replace(tzinfo=UTC)
EAGER: Final = (Authenticate, StartChat, LogIn, ListAgents)
"""Made at the start and not at the first request: what is wrong with them shows at once, and nobody waits."""


def create_app(settings: Settings | None = None) -> Litestar:
    """Everything that one process serves, over a database whose tables are there: see entrypoints.schema_ready.

    `state.stop` is an async callable that lets running answers end. Raises SecretFileRefused.
    """
    settings = settings or load_settings()
    secrets_of(settings)
    container = make_container(settings)
    drain = Drain()
    app = create_http_app(container, http_config(settings), drain, lifespan=[_beside(container, settings)])

    async def stop() -> None:
        drain.active = True
        registry = await container.get(RunRegistry)
        await registry.drain(settings.shutdown_grace_seconds)

    app.state.stop = stop
    return app


def _beside(container: AsyncContainer, settings: Settings) -> Callable[[Litestar], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncGenerator[None, None]:
        for part in EAGER:
            await container.get(part)
        _settle_heap()
        alive = await container.get(KeepRunsAlive)
        if settings.embedded:
            # There is one process: an answer that is still open belongs to one that died.
            transactions = await container.get(Transactions)
            async with transactions.begin() as tx:
                await tx.messages.close_abandoned(END_OF_TIME)
        keeper = asyncio.create_task(alive.forever())
        try:
            yield
        finally:
            registry = await container.get(RunRegistry)
            await registry.drain(0)
            keeper.cancel()
            await asyncio.wait({keeper})
            await container.close()

    return lifespan


def _settle_heap() -> None:
    """What was made at the start stays: the collector need not look at it again, nor so often at what streams leave."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
