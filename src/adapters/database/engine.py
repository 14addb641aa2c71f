"""Engines for both dialects, from one address, and how a coroutine runs their calls."""

import asyncio
import os
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

import asyncpg
from sqlalchemy import Engine, QueuePool, create_engine, event
from sqlalchemy.engine import Connection, make_url
from sqlalchemy.exc import ArgumentError, OperationalError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.util import greenlet_spawn

from adapters.database.errors import unavailable
from domain.errors import InvalidValue

CONNECT_SECONDS: Final = 10.0
STATEMENT_SECONDS: Final = 30
_BEGIN: Final = "BEGIN IMMEDIATE"
"""DEFERRED would take the write lock in mid-transaction, where SQLite can't wait for it."""
_PRAGMAS: Final = ("journal_mode = WAL", "synchronous = NORMAL", "temp_store = MEMORY", "cache_size = -8192")

_T = TypeVar("_T")


class Runner(Protocol):
    """Runs a call of an engine for a coroutine."""

    def __call__(self, fn: Callable[..., _T], /, *args: Any) -> Awaitable[_T]: ...


async def inline(fn: Callable[..., _T], /, *args: Any) -> _T:
    """At once, on the event loop: a statement on a local file takes less time than a hop to a thread and back."""
    return fn(*args)


@dataclass(frozen=True, slots=True)
class Database:
    """`writer` runs transactions and writes, `reader` reads alone, without BEGIN and COMMIT; `run` calls either."""

    dialect: str
    writer: Engine
    reader: Engine
    writers: int
    readers: int
    run: Runner

    @property
    def engines(self) -> tuple[Engine, ...]:
        """The engines to listen on, for tests that count statements."""
        return (self.writer,) if self.reader is self.writer else (self.writer, self.reader)

    async def aclose(self) -> None:
        for engine in self.engines:
            await self.run(engine.dispose)


def open_database(url: str, *, pool_size: int = 10) -> Database:
    """Engines on `sqlite:///path` or `postgresql://…`. Connects to nothing yet."""
    if is_postgres(url):
        return _open_postgres(url, pool_size)
    return _open_sqlite(sqlite_file(url))


def is_postgres(url: str) -> bool:
    return url.partition(":")[0].partition("+")[0] in {"postgresql", "postgres"}


def sqlite_file(url: str) -> Path:
    try:
        address = make_url(url)
    except ArgumentError:
        address = None
    if address is None or address.get_backend_name() != "sqlite" or not address.database:
        raise InvalidValue("database_url", "must be postgresql://… or sqlite:///path")
    return Path(address.database)


def _open_postgres(url: str, pool_size: int) -> Database:
    # The pool is gated by the transactions, so nobody ever waits inside it.
    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=postgres_creator(
            url,
            statement_timeout=str(STATEMENT_SECONDS * 1000),
            idle_in_transaction_session_timeout=str(2 * STATEMENT_SECONDS * 1000),
        ),
        pool_size=pool_size,
        max_overflow=0,
        pool_use_lifo=True,
        query_cache_size=1000,
    ).sync_engine
    return Database("postgresql", engine, engine, pool_size, pool_size, greenlet_spawn)


def postgres_creator(url: str, **settings: str) -> Callable[[], Any]:
    """asyncpg reads the address itself: sslmode, several hosts and the rest of libpq's words work."""
    address = "postgresql:" + url.partition(":")[2]
    command_timeout = STATEMENT_SECONDS + 5.0 if settings else None

    async def create() -> "asyncpg.Connection[asyncpg.Record]":
        return await asyncpg.connect(
            address,
            timeout=CONNECT_SECONDS,
            command_timeout=command_timeout,
            server_settings={"application_name": "agentchat", "jit": "off", **settings},
        )

    return create


def _open_sqlite(file: Path) -> Database:
    # One writer: SQLite has one at a time anyway. One reader: its statements never overlap, for they run inline.
    return Database("sqlite", sqlite_engine(file), sqlite_engine(file, autocommit=True), 1, 1, inline)


def sqlite_engine(file: Path, *, autocommit: bool = False, foreign_keys: bool = True) -> Engine:
    pragmas = (*_PRAGMAS, f"foreign_keys = {'ON' if foreign_keys else 'OFF'}")
    path = Path(os.path.abspath(file))
    engine = create_engine(
        "sqlite://",
        creator=lambda: _open_file(path, pragmas),
        poolclass=QueuePool,
        pool_size=1,
        max_overflow=0,
        pool_reset_on_return=None,
        query_cache_size=1000,
        **({"isolation_level": "AUTOCOMMIT", "skip_autocommit_rollback": True} if autocommit else {}),
    )
    if not autocommit:
        event.listen(engine, "begin", _begin_immediate)
    return engine


def _begin_immediate(connection: Connection) -> None:
    # Straight to the driver: as a statement of SQLAlchemy's it would cost as much as a query.
    driver: Any = connection.connection.driver_connection
    try:
        driver.execute(_BEGIN)
    except sqlite3.Error as error:
        raise OperationalError(_BEGIN, None, error) from error


def _open_file(path: Path, pragmas: tuple[str, ...]) -> sqlite3.Connection:
    """Readable by its owner alone; WAL and shared memory files take the mode of the database.

    It never waits for the lock of another process: that would stop the event loop. Who meets a lock tries again.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Only where there is none: closing any descriptor of the file drops the locks of this process's other connections.
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    connection = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
    try:
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")
    except BaseException:
        connection.close()
        raise
    return connection


class Gate:
    """Lets `size` in, first come first served: SQLAlchemy's pool lets newcomers overtake who waits."""

    __slots__ = ("_patience", "_slots")

    def __init__(self, size: int, patience: float) -> None:
        self._slots = asyncio.Semaphore(size)
        self._patience = patience

    async def enter(self) -> None:
        """Raises Unavailable when the patience ran out."""
        if not self._slots.locked():
            await self._slots.acquire()
            return
        try:
            async with asyncio.timeout(self._patience):
                await self._slots.acquire()
        except TimeoutError as error:
            raise unavailable("The database is busy: try again soon.") from error

    def leave(self) -> None:
        self._slots.release()
