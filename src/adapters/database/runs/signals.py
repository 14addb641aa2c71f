"""Word between processes: LISTEN and NOTIFY of Postgres, and for SQLite, where one process makes all runs, its own.

Whoever stores sends the word in the same transaction, as `pg_notify(LOG_CHANNEL, 'id,id')`: it goes out at the commit.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Final

import asyncpg

from adapters.database.engine import postgres_creator
from domain.ids import RunId

LOG_CHANNEL: Final = "agentchat_log"
"""Runs whose stored log grew, or that were closed."""

STOP_CHANNEL: Final = "agentchat_stop"
"""Runs that somebody asked to stop."""

IDS_PER_WORD: Final = 296
"""Postgres refuses a payload of 8000 bytes, and the transaction with it: an id takes 26, its comma one."""

LISTENER: Final = "agentchat listener"
"""The connection's application_name."""

PING_SECONDS: Final = 10.0
FIRST_DELAY: Final = 0.1
LONGEST_DELAY: Final = 5.0

log = logging.getLogger("agentchat.signals")


class LocalSignals:
    """Nobody else makes runs: what is told of them here is all that there is to hear."""

    def __init__(self) -> None:
        self._watchers: dict[str, set[asyncio.Event]] = {}

    @contextmanager
    def watch(self, run_id: RunId) -> Iterator[asyncio.Event]:
        news = asyncio.Event()
        watchers = self._watchers.setdefault(run_id, set())
        watchers.add(news)
        try:
            yield news
        finally:
            watchers.discard(news)
            if not watchers:
                self._watchers.pop(run_id, None)

    def stored(self, run_ids: Collection[RunId]) -> None:
        for run_id in run_ids:
            for news in self._watchers.get(run_id, ()):
                news.set()

    def on_stop(self, heard: Callable[[RunId], None]) -> None:
        """Never called."""

    async def listen(self) -> None:
        await asyncio.Event().wait()


class PostgresSignals:
    """One connection of its own, outside of the pool. Everything happens on the loop that listens."""

    def __init__(self, url: str, *, ping_seconds: float = PING_SECONDS) -> None:
        """A connection that died silently is found within twice `ping_seconds`."""
        self._connect = postgres_creator(url, application_name=LISTENER)
        self._ping_seconds = ping_seconds
        self._watchers: dict[str, set[asyncio.Event]] = {}
        self._on_stop: list[Callable[[RunId], None]] = []
        self._away = False

    @contextmanager
    def watch(self, run_id: RunId) -> Iterator[asyncio.Event]:
        event = asyncio.Event()
        watchers = self._watchers.setdefault(run_id, set())
        watchers.add(event)
        try:
            yield event
        finally:
            watchers.discard(event)
            if not watchers:
                del self._watchers[run_id]

    def stored(self, run_ids: Collection[RunId]) -> None:
        """Postgres tells, in the transaction that stored them."""

    def on_stop(self, heard: Callable[[RunId], None]) -> None:
        self._on_stop.append(heard)

    async def listen(self) -> None:
        delay = FIRST_DELAY
        while True:
            began = time.monotonic()
            try:
                await self._hear()
            except Exception as trouble:  # noqa: BLE001 - a listener that gives up would leave every reader to its timer
                self._lost(trouble)
            # Not at the first success: a connection that is cut as soon as it stands must not make a busy loop.
            if time.monotonic() - began > LONGEST_DELAY:
                delay = FIRST_DELAY
            await asyncio.sleep(delay * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, no secret
            delay = min(2 * delay, LONGEST_DELAY)

    async def _hear(self) -> None:
        """One connection, from its making to its end. Always raises."""
        connection: asyncpg.Connection[asyncpg.Record] = await self._connect()
        gone = asyncio.Event()
        try:
            connection.add_termination_listener(lambda _connection: gone.set())
            async with asyncio.timeout(self._ping_seconds):
                await connection.add_listener(LOG_CHANNEL, self._log_grew)
                await connection.add_listener(STOP_CHANNEL, self._stop_asked)
            self._back()
            while not await _comes(gone, self._ping_seconds):
                await connection.execute("SELECT 1", timeout=self._ping_seconds)
            raise ConnectionResetError("the server closed the connection")
        finally:
            # `close` would await the server's farewell, which a dead one never says and a cancelled task can't hear.
            connection.terminate()

    def _back(self) -> None:
        """Whatever was committed before LISTEN was answered is seen by who looks now; the rest will be told."""
        if self._away:
            self._away = False
            log.info("signals_back")
        for watchers in self._watchers.values():
            for event in watchers:
                event.set()

    def _lost(self, trouble: Exception) -> None:
        if not self._away:
            self._away = True
            log.warning("signals_lost", extra={"cause": _cause(trouble)})

    def _log_grew(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        if not self._watchers:
            return
        for run_id in str(payload).split(","):
            for event in self._watchers.get(run_id, ()):
                event.set()

    def _stop_asked(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        for run_id in filter(None, str(payload).split(",")):
            for heard in self._on_stop:
                try:
                    heard(RunId(run_id))
                except Exception:
                    log.exception("stop_not_heard", extra={"run_id": run_id[:64]})


async def _comes(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False


def _cause(trouble: Exception) -> str:
    """The words of the network and of the server alone: a driver's complaint about an address quotes its password."""
    quoted = isinstance(trouble, OSError | asyncpg.PostgresError) and str(trouble)
    return f"{type(trouble).__name__}: {trouble}"[:300] if quoted else type(trouble).__name__
