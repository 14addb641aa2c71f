"""How repositories run statements: inside a transaction, or each on its own."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, NoReturn, Protocol, TypeVar

from sqlalchemy import Engine
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql import Executable

from adapters.database.engine import Gate, Runner, explicit_transaction
from adapters.database.errors import FAILURES, is_locked, is_stale_plan, translate

Values = Mapping[str, Any]
Rows = Sequence[Any]
Write = tuple[Executable, Values]
_T = TypeVar("_T")

LOCK_PATIENCE_SECONDS: Final = 30.0
_LONGEST_PAUSE: Final = 0.05


class Session(Protocol):
    """Raises domain errors only, apart from mistakes of ours."""

    async def rows(self, statement: Executable, values: Values) -> Rows: ...

    async def affected(self, statement: Executable, values: Values) -> int:
        """Run a write; the number of rows that it touched."""
        ...

    async def affected_together(self, *writes: Write) -> bool:
        """Run writes in their order, all or none; stop at the first that touches no row, and say whether none did."""
        ...


class Attempts:
    """Which failures of a first statement are worth another try: it has done nothing yet.

    A connection that died in the pool is replaced once. SQLite's lock, held by another process, is waited for.
    """

    __slots__ = ("_number", "_replaced", "_until")

    def __init__(self) -> None:
        self._number = 0
        self._replaced = False
        self._until = asyncio.get_running_loop().time() + LOCK_PATIENCE_SECONDS

    async def again(self, error: DBAPIError) -> bool:
        if is_locked(error) and asyncio.get_running_loop().time() < self._until:
            self._number += 1
            await asyncio.sleep(min(0.001 * 2**self._number, _LONGEST_PAUSE))
            return True
        if self._replaced or not (error.connection_invalidated or is_stale_plan(error)):
            return False
        self._replaced = True
        return True


class SingleStatements:
    """Borrows a connection for each statement, so a round trip is all it costs."""

    __slots__ = ("_autocommits", "_engine", "_gate", "_spawn")

    def __init__(self, engine: Engine, gate: Gate, spawn: Runner) -> None:
        self._engine = engine
        self._gate = gate
        self._spawn = spawn
        self._autocommits = engine.dialect.name == "sqlite"

    async def rows(self, statement: Executable, values: Values) -> Rows:
        return await self._run(_fetch, statement, values)

    async def affected(self, statement: Executable, values: Values) -> int:
        return await self._run(_count, statement, values)

    async def affected_together(self, *writes: Write) -> bool:
        return await self._attempted(partial(self._borrow_for_all, writes))

    async def _run(
        self, run: Callable[[Connection, Executable, Values], _T], statement: Executable, values: Values
    ) -> _T:
        return await self._attempted(partial(self._borrow, run, statement, values))

    async def _attempted(self, work: Callable[[], _T]) -> _T:
        attempts: Attempts | None = None
        await self._gate.enter()
        try:
            while True:
                try:
                    return await self._spawn(work)
                except DBAPIError as error:
                    attempts = attempts or Attempts()
                    if not await attempts.again(error):
                        raise
        except FAILURES as error:
            refuse(error)
        finally:
            self._gate.leave()

    def _borrow(self, run: Callable[[Connection, Executable, Values], _T], statement: Executable, values: Values) -> _T:
        with self._engine.connect() as connection:
            if not self._autocommits:
                # Not an engine with this option: its events cost more than the option.
                connection.execution_options(isolation_level="AUTOCOMMIT")
            return run(connection, statement, values)

    def _borrow_for_all(self, writes: Sequence[Write]) -> bool:
        with self._engine.connect() as connection, explicit_transaction(connection):
            return all(_count(connection, statement, values) for statement, values in writes)


class OpenTransaction:
    """Connects and begins with the first statement."""

    __slots__ = ("_connection", "_engine", "_spawn")

    def __init__(self, engine: Engine, spawn: Runner) -> None:
        self._engine = engine
        self._spawn = spawn
        self._connection: Connection | None = None

    async def rows(self, statement: Executable, values: Values) -> Rows:
        return await self._run(_fetch, statement, values)

    async def affected(self, statement: Executable, values: Values) -> int:
        return await self._run(_count, statement, values)

    async def affected_together(self, *writes: Write) -> bool:
        for statement, values in writes:
            if not await self.affected(statement, values):
                return False
        return True

    async def _run(
        self, run: Callable[[Connection, Executable, Values], _T], statement: Executable, values: Values
    ) -> _T:
        attempts: Attempts | None = None
        try:
            if self._connection is not None:
                return await self._spawn(run, self._connection, statement, values)
            while True:
                try:
                    return await self._spawn(self._begin, run, statement, values)
                except DBAPIError as error:
                    attempts = attempts or Attempts()
                    if not await attempts.again(error):
                        raise
                    await self.roll_back()
        except FAILURES as error:
            refuse(error)

    def _begin(self, run: Callable[[Connection, Executable, Values], _T], statement: Executable, values: Values) -> _T:
        self._connection = connection = self._engine.connect()
        connection.begin()
        return run(connection, statement, values)

    async def commit(self) -> None:
        if self._connection is None:
            return
        try:
            await self._spawn(_commit, self._connection)
        except FAILURES as error:
            refuse(error)
        self._connection = None

    async def roll_back(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await self._spawn(_roll_back, connection)


def refuse(error: Exception) -> NoReturn:
    known = translate(error)
    if known is None:
        raise error
    raise known from error


def _fetch(connection: Connection, statement: Executable, values: Values) -> Rows:
    return connection.execute(statement, values).fetchall()


def _count(connection: Connection, statement: Executable, values: Values) -> int:
    return connection.execute(statement, values).rowcount


def _commit(connection: Connection) -> None:
    connection.commit()
    connection.close()


def _roll_back(connection: Connection) -> None:
    try:
        connection.rollback()
    except (DBAPIError, OSError):
        connection.invalidate()
    finally:
        connection.close()
