"""aiosqlite with one hop to its thread for each statement, where it makes four (cursor, execute, fetch, close)."""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from typing import Any, Final, Self

import aiosqlite
from aiosqlite.core import _STOP_RUNNING_SENTINEL, set_exception, set_result

_BEGIN: Final = "BEGIN IMMEDIATE"
"""DEFERRED would take the write lock in mid-transaction, where SQLite can't wait for it."""


class OneHopConnection(aiosqlite.Connection):
    """What SQLAlchemy's adapter needs of aiosqlite."""

    _begins = False

    def cursor(self) -> "OneHopCursor":  # type: ignore[override]
        return OneHopCursor(self)

    def stop(self) -> None:
        # Without a future: it would belong to a loop that may be closed when the thread gets there.
        self._running = False
        self._tx.put_nowait((None, self._close_and_stop))

    def _close_and_stop(self) -> object:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        return _STOP_RUNNING_SENTINEL

    def begin_with_next(self) -> None:
        """BEGIN goes with the next statement: a transaction costs one hop less."""
        self._begins = True

    async def run(self, operation: str, parameters: Sequence[Any]) -> "Outcome":
        begins, self._begins = self._begins, False
        outcome: Outcome = await self._execute(self._run, operation, parameters, begins)  # type: ignore[no-untyped-call]
        return outcome

    async def commit(self) -> None:
        if not self._forget_begin():
            await super().commit()

    async def rollback(self) -> None:
        if not self._forget_begin():
            await super().rollback()

    def _forget_begin(self) -> bool:
        begins, self._begins = self._begins, False
        return begins

    def _run(self, operation: str, parameters: Sequence[Any], begins: bool) -> "Outcome":
        if begins:
            self._conn.execute(_BEGIN)
        cursor = self._conn.execute(operation, parameters)
        try:
            rows = cursor.fetchall() if cursor.description else []
            return cursor.description, rows, cursor.rowcount, cursor.lastrowid
        finally:
            cursor.close()


Outcome = tuple[Any, list[Any], int, int | None]


class OneHopCursor:
    __slots__ = ("_connection", "_rows", "arraysize", "description", "lastrowid", "rowcount")

    def __init__(self, connection: OneHopConnection) -> None:
        self._connection = connection
        self._rows: list[Any] = []
        self.description: Any = None
        self.rowcount = -1
        self.lastrowid: int | None = None
        self.arraysize = 1

    async def __aenter__(self) -> Self:
        return self

    async def execute(self, operation: str, parameters: Sequence[Any] = ()) -> None:
        self.description, self._rows, self.rowcount, self.lastrowid = await self._connection.run(operation, parameters)

    async def executemany(self, operation: str, rows: Sequence[Sequence[Any]]) -> None:
        for parameters in rows:
            await self.execute(operation, parameters)

    async def fetchall(self) -> list[Any]:
        return self._rows

    async def close(self) -> None:
        return None


async def connect(connector: Callable[[], sqlite3.Connection]) -> OneHopConnection:
    connection = OneHopConnection(connector, iter_chunk_size=64)
    connection._thread = Thread(target=_work, args=(connection._tx,), daemon=True)
    await connection
    return connection


def _work(orders: "SimpleQueue[tuple[asyncio.Future[Any] | None, Callable[[], Any]]]") -> None:
    """aiosqlite's own thread dies with its connection open when a cancelled caller's loop is closed by now."""
    while True:
        future, order = orders.get()
        settle: Callable[[Any, Any], None] = set_result
        result: Any
        try:
            result = order()
        except BaseException as error:  # noqa: BLE001 - it belongs to whoever gave the order
            result, settle = error, set_exception
        if future is not None:
            with suppress(RuntimeError):
                future.get_loop().call_soon_threadsafe(settle, future, result)
        if result is _STOP_RUNNING_SENTINEL:
            return
        del future, order, result
