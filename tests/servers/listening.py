"""A listener under test, and words to it by SQL."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import asyncpg
import pytest

from adapters.database.runs.signals import LISTENER, LOG_CHANNEL, STOP_CHANNEL, PostgresSignals
from domain.ids import RunId

ONE, OTHER, FENCE = RunId("one"), RunId("other"), RunId("fence")
AT_ONCE = 4.0
"""On the slowest machine; a dead connection is found later."""
SOON = 20.0
OURS = f"FROM pg_stat_activity WHERE application_name = '{LISTENER}' AND datname = current_database()"
CUT = f"SELECT pg_terminate_backend(pid) {OURS}"

if TYPE_CHECKING:
    Sql = asyncpg.Connection[asyncpg.Record]
else:
    Sql = asyncpg.Connection


@asynccontextmanager
async def listening(signals: PostgresSignals) -> AsyncIterator[PostgresSignals]:
    """From the moment on when it hears."""
    with signals.watch(FENCE) as connected:
        task = asyncio.create_task(signals.listen())
        await comes(connected)
    try:
        yield signals
    finally:
        await cancelled(task)


async def comes(event: asyncio.Event, within: float = SOON) -> None:
    async with asyncio.timeout(within):
        await event.wait()
    event.clear()


async def cancelled(task: asyncio.Task[None]) -> float:
    """The seconds that it took."""
    assert not task.done()
    began = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    return time.monotonic() - began


async def say(sql: Sql, *run_ids: str, channel: str = LOG_CHANNEL) -> None:
    await sql.execute("SELECT pg_notify($1, $2)", channel, ",".join(run_ids))


async def until(sql: Sql, listeners: int) -> None:
    async with asyncio.timeout(SOON):
        while await sql.fetchval(f"SELECT count(*) {OURS}") != listeners:
            await asyncio.sleep(0.01)


async def stops(sql: Sql, signals: PostgresSignals, *run_ids: str) -> None:
    """Ask to stop them, and return when the word was heard: words arrive in their order."""
    with signals.watch(FENCE) as fence:
        await say(sql, *run_ids, channel=STOP_CHANNEL)
        await say(sql, FENCE)
        await comes(fence)


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [f"{one.levelname} {one.message}" for one in caplog.records if one.name == "agentchat.signals"]
