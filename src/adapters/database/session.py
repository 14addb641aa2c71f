"""How repositories run statements: inside a transaction, or each on its own."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, Protocol, TypeVar

from sqlalchemy import Engine
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql import Executable
from sqlalchemy.util import greenlet_spawn

from adapters.database.engine import Gate
from adapters.database.errors import FAILURES, is_stale_plan, translate

Values = Mapping[str, Any]
Rows = Sequence[Any]
_T = TypeVar("_T")


class Session(Protocol):
    """Raises domain errors only, apart from mistakes of ours."""

    async def rows(self, statement: Executable, values: Values) -> Rows: ...

    async def affected(self, statement: Executable, values: Values) -> int:
        """Run a write; the number of rows that it touched."""
        ...


class SingleStatements:
    """Borrows a connection for each statement, so a round trip is all it costs."""

    __slots__ = ("_autocommits", "_engine", "_gate")

    def __init__(self, engine: Engine, gate: Gate) -> None:
        self._engine = engine
        self._gate = gate
        self._autocommits = engine.dialect.name == "sqlite"

    async def rows(self, statement: Executable, values: Values) -> Rows:
        return await self._run(_fetch, statement, values)

    async def affected(self, statement: Executable, values: Values) -> int:
        return await self._run(_count, statement, values)

    async def _run(
        self, run: Callable[[Connection, Executable, Values], _T], statement: Executable, values: Values
    ) -> _T:
        await self._gate.enter()
        try:
            try:
                return await greenlet_spawn(self._borrow, run, statement, values)
            except DBAPIError as error:
                if not _is_stale(error):
                    raise
            return await greenlet_spawn(self._borrow, run, statement, values)
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


class OpenTransaction:
    """Connects and begins with the first statement; a connection that died in the pool is then replaced once."""

    __slots__ = ("_connection", "_engine")

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: Connection | None = None

    async def rows(self, statement: Executable, values: Values) -> Rows:
        return await self._run(_fetch, statement, values)

    async def affected(self, statement: Executable, values: Values) -> int:
        return await self._run(_count, statement, values)

    async def _run(
        self, run: Callable[[Connection, Executable, Values], _T], statement: Executable, values: Values
    ) -> _T:
        try:
            if self._connection is not None:
                return await greenlet_spawn(run, self._connection, statement, values)
            try:
                return await greenlet_spawn(self._begin, run, statement, values)
            except DBAPIError as error:
                if not _is_stale(error):
                    raise
            await self.roll_back()
            return await greenlet_spawn(self._begin, run, statement, values)
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
            await greenlet_spawn(_commit, self._connection)
        except FAILURES as error:
            refuse(error)
        self._connection = None

    async def roll_back(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await greenlet_spawn(_roll_back, connection)


def refuse(error: Exception) -> NoReturn:
    known = translate(error)
    if known is None:
        raise error
    raise known from error


def _is_stale(error: DBAPIError) -> bool:
    return error.connection_invalidated or is_stale_plan(error)


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
