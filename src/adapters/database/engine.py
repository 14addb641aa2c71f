"""Engines for both dialects, from one address."""

import asyncio
import os
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import asyncpg
from sqlalchemy import Engine, event
from sqlalchemy.engine import Connection, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from adapters.database.errors import unavailable
from adapters.database.sqlite_driver import OneHopConnection
from adapters.database.sqlite_driver import connect as connect_sqlite
from domain.errors import InvalidValue

CONNECT_SECONDS: Final = 10.0
STATEMENT_SECONDS: Final = 30
_BUSY_SECONDS: Final = 30.0
_PRAGMAS: Final = ("journal_mode = WAL", "synchronous = NORMAL", "temp_store = MEMORY", "cache_size = -8192")


@dataclass(frozen=True, slots=True)
class Database:
    """`writer` runs transactions, `reader` single statements without BEGIN and COMMIT."""

    dialect: str
    writer: AsyncEngine
    reader: Engine
    writers: int
    readers: int

    @property
    def engines(self) -> tuple[Engine, ...]:
        """The engines to listen on, for tests that count statements."""
        writer = self.writer.sync_engine
        return (writer,) if self.reader is writer else (writer, self.reader)

    async def aclose(self) -> None:
        await self.writer.dispose()
        if self.reader is not self.writer.sync_engine:
            await AsyncEngine(self.reader).dispose()


def sqlite_url(data_dir: Path) -> str:
    """The address of the embedded mode's database."""
    return f"sqlite+aiosqlite:///{(data_dir / 'agentchat.db').absolute()}"


def open_database(url: str, *, pool_size: int = 10) -> Database:
    """Engines on `sqlite:///path` or `postgresql://…`. Connects to nothing yet."""
    if is_postgres(url):
        return _open_postgres(url, pool_size)
    return _open_sqlite(sqlite_file(url), pool_size)


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
    writer = create_async_engine(
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
    )
    return Database("postgresql", writer, writer.sync_engine, pool_size, pool_size)


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


def _open_sqlite(file: Path, pool_size: int) -> Database:
    # One writer: SQLite has one at a time anyway, and a queue of ours is fair where its busy handler is not.
    writer = sqlite_engine(file, pool_size=1)
    readers = max(1, min(pool_size, 4))
    reader = sqlite_engine(file, pool_size=readers, autocommit=True)
    return Database("sqlite", writer, reader.sync_engine, 1, readers)


def sqlite_engine(
    file: Path, *, pool_size: int = 1, autocommit: bool = False, foreign_keys: bool = True
) -> AsyncEngine:
    pragmas = (*_PRAGMAS, f"foreign_keys = {'ON' if foreign_keys else 'OFF'}")
    path = Path(os.path.abspath(file))
    engine = create_async_engine(
        "sqlite+aiosqlite:///" + str(path),
        async_creator=lambda: connect_sqlite(lambda: _open_file(path, pragmas)),
        pool_size=pool_size,
        max_overflow=0,
        pool_use_lifo=True,
        pool_reset_on_return=None,
        query_cache_size=1000,
        **({"isolation_level": "AUTOCOMMIT", "skip_autocommit_rollback": True} if autocommit else {}),
    )
    if not autocommit:
        event.listen(engine.sync_engine, "begin", _begin_immediate)
    return engine


def _begin_immediate(connection: Connection) -> None:
    # Straight to the driver: as a statement it would cost as much as a query.
    driver = cast(OneHopConnection, connection.connection.driver_connection)
    driver.begin_with_next()


def _open_file(path: Path, pragmas: tuple[str, ...]) -> sqlite3.Connection:
    """Readable by its owner alone; WAL and shared memory files take the mode of the database."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
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
