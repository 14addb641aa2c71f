"""One connection that is made anew when it breaks, and tells when the jobs changed."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import asyncpg

from adapters.jobs.schema import CHANNEL, Connection, install, is_installed
from domain.errors import Unavailable

STATEMENT_SECONDS: Final = 10.0
_TROUBLES: Final = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    # What a statement meets between the server's farewell and the end of the connection.
    asyncpg.InternalClientError,
)

Connect = Callable[[], Awaitable[Connection]]
_T = TypeVar("_T")


class JobConnection:
    """Its calls come one after the other: each is short, and none is worth a second connection."""

    def __init__(self, connect: Connect, *, statement_seconds: float = STATEMENT_SECONDS) -> None:
        self._connect = connect
        self._seconds = statement_seconds
        self._lock = asyncio.Lock()
        self._connection: Connection | None = None
        self._listens = False
        self.waiting: set[asyncio.Event] = set()
        """Set when the jobs changed, and when the connection broke: what changed meanwhile is told by nobody."""

    async def listen(self) -> None:
        """From now on also on every new connection."""
        if not self._listens:
            self._listens = True
            await self.run(_subscribe(self._heard))

    async def run(self, work: Callable[[Connection], Awaitable[_T]]) -> _T:
        """`work` does no harm twice: it comes again when the connection proves to be broken. Raises Unavailable."""
        try:
            async with self._lock:
                used = self._connection is not None
                try:
                    return await self._attempt(work)
                except TimeoutError:
                    raise
                except _TROUBLES:
                    if not used or not self._is_broken:
                        raise
                return await self._attempt(work)
        except _TROUBLES as trouble:
            raise Unavailable(
                "database_unavailable", "The database can't be reached: try again soon.", retry_after=1.0
            ) from trouble

    @property
    def _is_broken(self) -> bool:
        return self._connection is None or self._connection.is_closed()

    async def _attempt(self, work: Callable[[Connection], Awaitable[_T]]) -> _T:
        try:
            async with asyncio.timeout(self._seconds):
                return await work(await self._open())
        except (TimeoutError, asyncio.CancelledError):
            # The answer would come to the next statement.
            self._drop()
            raise

    async def _open(self) -> Connection:
        if self._connection is not None and not self._connection.is_closed():
            return self._connection
        connection = await self._connect()
        try:
            if not await is_installed(connection):
                await install(connection)
            if self._listens:
                await connection.add_listener(CHANNEL, self._heard)
            connection.add_termination_listener(self._heard)
        except BaseException:
            connection.terminate()
            raise
        self._connection = connection
        self._heard()
        return connection

    def _heard(self, *_: object) -> None:
        for event in self.waiting:
            event.set()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    async def aclose(self) -> None:
        async with self._lock:
            self._drop()


def _subscribe(heard: Callable[..., None]) -> Callable[[Connection], Awaitable[None]]:
    async def subscribe(connection: Connection) -> None:
        # A new connection has subscribed already; twice is once.
        await connection.add_listener(CHANNEL, heard)

    return subscribe
