"""How repositories run statements: inside a transaction, or each on its own."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NoReturn, Protocol, TypeVar

from sqlalchemy import Engine
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql import Executable

from adapters.database.engine import Gate, Runner
from adapters.database.errors import FAILURES, is_deadlock, is_locked, is_stale_plan, translate, was_not_sent
from application.jobs.lasting_trouble import LastingTrouble
from domain.errors import Unavailable

away: Final = LastingTrouble(logging.getLogger("agentchat.database"), "database_unavailable", "database_back")
"""Of the process, whoever asks the database. The client is told to come again; the operator, what is wrong."""

Values = Mapping[str, Any]
Rows = Sequence[Any]
_T = TypeVar("_T")

LOCK_PATIENCE_SECONDS: Final = 30.0
_LONGEST_PAUSE: Final = 0.05


class Session(Protocol):
    """Raises domain errors only, apart from mistakes of ours."""

    @property
    def alone(self) -> bool:
        """Whether each call is a transaction of its own. If not, nothing may follow a statement that failed."""
        ...

    async def rows(self, statement: Executable, values: Values) -> Rows:
        """Run a read, again if its connection broke; writes with RETURNING in transactions only."""
        ...

    async def affected(self, statement: Executable, values: Values) -> int:
        """Run a write, once; the number of rows that it touched."""
        ...

    async def written(self, statement: Executable, values: Values) -> Rows:
        """Run a write that does no harm twice, again if its connection broke; the rows that it gives."""
        ...

    async def together(self, work: Callable[[Connection], _T]) -> _T:
        """Let `work` run its statements, all or none; it does no harm twice, and comes again as in `written`."""
        ...


class Attempts:
    """Which failures of a first statement are worth another try.

    A connection that broke is replaced once, if the statement is `repeatable` (it does no harm twice, or was rolled
    back with its transaction) or surely did nothing. SQLite's lock, held by another process, is waited for.
    """

    __slots__ = ("_number", "_repeatable", "_replaced", "_until")

    def __init__(self, *, repeatable: bool = True) -> None:
        self._number = 0
        self._repeatable = repeatable
        self._replaced = False
        self._until = asyncio.get_running_loop().time() + LOCK_PATIENCE_SECONDS

    async def again(self, error: DBAPIError) -> bool:
        if is_locked(error) and asyncio.get_running_loop().time() < self._until:
            self._number += 1
            await asyncio.sleep(min(0.001 * 2**self._number, _LONGEST_PAUSE))
            return True
        did_nothing = is_stale_plan(error) or was_not_sent(error) or is_deadlock(error)
        if self._replaced or not (did_nothing or (self._repeatable and error.connection_invalidated)):
            return False
        self._replaced = True
        return True


@dataclass(frozen=True, slots=True)
class Lane:
    """An engine, and the gate before its connections."""

    engine: Engine
    gate: Gate


class SingleStatements:
    """Borrows a connection for each call, so a round trip is all that a statement costs.

    On SQLite writes take the lane of the transactions: whoever waits there for another process's lock holds up no read.
    """

    __slots__ = ("_reads", "_run_write", "_spawn", "_writes", "alone")

    def __init__(self, reads: Lane, writes: Lane, spawn: Runner) -> None:
        self.alone: Final = True
        self._run_write = _begun if writes.engine.dialect.name == "sqlite" else _alone
        self._reads = reads
        self._writes = writes
        self._spawn = spawn

    async def rows(self, statement: Executable, values: Values) -> Rows:
        return await self._attempted(self._reads, partial(_alone, _fetch, self._reads.engine, statement, values))

    async def affected(self, statement: Executable, values: Values) -> int:
        count = partial(self._run_write, _count, self._writes.engine, statement, values)
        return await self._attempted(self._writes, count, repeatable=False)

    async def written(self, statement: Executable, values: Values) -> Rows:
        return await self._attempted(
            self._writes, partial(self._run_write, _fetch, self._writes.engine, statement, values)
        )

    async def together(self, work: Callable[[Connection], _T]) -> _T:
        return await self._attempted(self._writes, partial(_begun, work, self._writes.engine))

    async def _attempted(self, lane: Lane, work: Callable[[], _T], *, repeatable: bool = True) -> _T:
        attempts: Attempts | None = None
        await lane.gate.enter()
        try:
            while True:
                try:
                    result = await self._spawn(work)
                    away.passed()
                    return result
                except DBAPIError as error:
                    attempts = attempts or Attempts(repeatable=repeatable)
                    if not await attempts.again(error):
                        raise
        except FAILURES as error:
            refuse(error)
        finally:
            lane.gate.leave()


def _alone(run: Callable[..., _T], engine: Engine, *given: Any) -> _T:
    with engine.connect() as connection:
        if engine.dialect.name != "sqlite":
            # Not an engine with this option: its events cost more than the option. SQLite's reader has it.
            connection.execution_options(isolation_level="AUTOCOMMIT")
        return run(connection, *given)


def _begun(run: Callable[..., _T], engine: Engine, *given: Any) -> _T:
    with engine.begin() as connection:
        return run(connection, *given)


class OpenTransaction:
    """Connects and begins with the first statement."""

    __slots__ = ("_connection", "_engine", "_spawn", "alone")

    def __init__(self, engine: Engine, spawn: Runner) -> None:
        self.alone: Final = False
        self._engine = engine
        self._spawn = spawn
        self._connection: Connection | None = None

    async def rows(self, statement: Executable, values: Values) -> Rows:
        return await self._run(_fetch, statement, values)

    async def affected(self, statement: Executable, values: Values) -> int:
        return await self._run(_count, statement, values)

    async def written(self, statement: Executable, values: Values) -> Rows:
        return await self._run(_fetch, statement, values)

    async def together(self, work: Callable[[Connection], _T]) -> _T:
        return await self._run(work)

    async def _run(self, run: Callable[..., _T], *given: Any) -> _T:
        attempts: Attempts | None = None
        try:
            if self._connection is not None:
                return await self._spawn(run, self._connection, *given)
            while True:
                try:
                    result: _T = await self._spawn(self._begin, run, *given)
                    away.passed()
                    return result
                except DBAPIError as error:
                    attempts = attempts or Attempts()
                    if not await attempts.again(error):
                        raise
                    await self.roll_back()
        except FAILURES as error:
            refuse(error)

    def _begin(self, run: Callable[..., _T], *given: Any) -> _T:
        self._connection = connection = self._engine.connect()
        connection.begin()
        return run(connection, *given)

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
    if isinstance(known, Unavailable):
        away.came(known, str(getattr(error, "orig", error))[:300])
    raise known from error


def _fetch(connection: Connection, statement: Executable, values: Values) -> Rows:
    result = connection.execute(statement, values)
    return result.fetchall() if result.returns_rows else ()


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
