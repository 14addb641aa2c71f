"""Transactions over either dialect."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import Integer, func, literal_column, select

from adapters.database.agents import AgentRows
from adapters.database.api_keys import ApiKeyRows
from adapters.database.columns import Moment
from adapters.database.dialogs import DialogRows
from adapters.database.engine import Database, Gate, open_database
from adapters.database.files import FileRows
from adapters.database.login_failures import LoginFailureRows
from adapters.database.messages import MessageRows
from adapters.database.readings import ReadingRows
from adapters.database.refresh_tokens import RefreshTokenRows
from adapters.database.runs import RunRows
from adapters.database.session import Lane, OpenTransaction, Session, SingleStatements
from adapters.database.users import UserRows
from application.ports.files import Files, Readings
from application.ports.persistence import (
    Agents,
    ApiKeys,
    Dialogs,
    LoginFailures,
    Messages,
    RefreshTokens,
    Transaction,
    Users,
)
from application.ports.runs import Runs

_PING: Final = select(literal_column("1", Integer))
_NOW: Final = select(func.clock_timestamp(type_=Moment))
PATIENCE_SECONDS: Final = 10.0


class Repositories:
    """Every repository on one session."""

    __slots__ = (
        "agents",
        "api_keys",
        "dialogs",
        "files",
        "login_failures",
        "messages",
        "readings",
        "refresh_tokens",
        "runs",
        "users",
    )

    def __init__(self, session: Session, dialect: str) -> None:
        self.users: Users = UserRows(session)
        self.refresh_tokens: RefreshTokens = RefreshTokenRows(session)
        self.api_keys: ApiKeys = ApiKeyRows(session)
        self.login_failures: LoginFailures = LoginFailureRows(session, dialect)
        self.agents: Agents = AgentRows(session)
        self.dialogs: Dialogs = DialogRows(session)
        self.messages: Messages = MessageRows(session)
        self.runs: Runs = RunRows(session, dialect)
        self.files: Files = FileRows(session, dialect)
        self.readings: Readings = ReadingRows(session, dialect)


class DatabaseTransactions:
    """The Transactions port. Close it with `aclose`."""

    def __init__(self, database: Database, *, patience: float = PATIENCE_SECONDS) -> None:
        self.database = database
        self._writers = Gate(database.writers, patience)
        self._single_statements = single_statements(database, self._writers, patience)
        self._singles = Repositories(self._single_statements, database.dialect)
        self._ending: set[asyncio.Task[None]] = set()

    @classmethod
    def open(cls, url: str, *, pool_size: int = 10) -> "DatabaseTransactions":
        return cls(open_database(url, pool_size=pool_size))

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Transaction]:
        await self._writers.enter()
        session = OpenTransaction(self.database.writer, self.database.run)
        try:
            yield Repositories(session, self.database.dialect)
            await session.commit()
        except BaseException:
            # A task of its own: the caller may be cancelled, even again and again, and the connection must come back.
            ending = asyncio.create_task(self._abandon(session))
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)
            await asyncio.shield(ending)
            raise
        self._writers.leave()

    async def _abandon(self, session: OpenTransaction) -> None:
        try:
            await session.roll_back()
        finally:
            self._writers.leave()

    @asynccontextmanager
    async def autocommit(self) -> AsyncIterator[Transaction]:
        yield self._singles

    async def now(self) -> datetime:
        """The SharedClock port. With SQLite there is one machine, and its clock."""
        if self.database.dialect == "sqlite":
            return datetime.now(UTC)
        rows = await self._single_statements.rows(_NOW, {})
        now: datetime = rows[0][0]
        return now

    async def ping(self) -> None:
        await self._single_statements.rows(_PING, {})

    async def aclose(self) -> None:
        await asyncio.gather(*self._ending, return_exceptions=True)
        await self.database.aclose()


def single_statements(database: Database, writers: Gate, patience: float) -> SingleStatements:
    writes = Lane(database.writer, writers)
    shared = database.reader is database.writer
    reads = writes if shared else Lane(database.reader, Gate(database.readers, patience))
    return SingleStatements(reads, writes, database.run)
