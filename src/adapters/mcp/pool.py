"""The connections of a process: one for a server and its owner, bounded in number."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from adapters.mcp import words
from adapters.mcp.connection import Connection
from adapters.mcp.limits import McpLimits
from application.ports.mcp_connections import McpUnavailable
from domain.ids import McpServerId, UserId

_ALL_BUSY: Final = "all connections to MCP servers are in use; it may work in a moment."
_ALL_THEIRS: Final = "all {} connections that a user may have are in use, perhaps by servers that do not answer."
_CLOSED: Final = "this server is being stopped."


@dataclass(frozen=True, slots=True)
class Key:
    """`address` is a digest: it holds secrets."""

    server_id: McpServerId
    owner: UserId
    address: bytes


Make = Callable[[], Connection]


class Pool:
    def __init__(self, limits: McpLimits) -> None:
        self._limits = limits
        self._held: dict[Key, Connection] = {}
        self._open: dict[asyncio.Task[None], Connection] = {}
        self._freed = asyncio.Event()
        self._closed = False

    @asynccontextmanager
    async def lease(self, key: Key, make: Make) -> AsyncIterator[Connection]:
        """Raises McpUnavailable when there is no room."""
        connection = await self._found(key, make)
        try:
            yield connection
        finally:
            connection.give_back()
            self._freed.set()

    def forget(self, server_id: McpServerId) -> list[Connection]:
        """Those that were open to it, now stopping."""
        chosen = [key for key in self._held if key.server_id == server_id]
        stopping = [self._held.pop(key) for key in chosen]
        for connection in stopping:
            connection.stop(words.GONE)
        return stopping

    async def aclose(self) -> None:
        self._closed = True
        for connection in self._held.values():
            connection.stop(_CLOSED)
        self._held.clear()
        await asyncio.gather(*(one.ended() for one in self._open.values()))

    async def _found(self, key: Key, make: Make) -> Connection:
        loop = asyncio.get_running_loop()
        until = loop.time() + self._limits.wait_seconds
        while True:
            if self._closed:
                raise McpUnavailable(_CLOSED)
            connection = self._held.get(key)
            if connection is not None and connection.usable:
                connection.take()
                return connection
            # Between looking and taking nothing is awaited: so two who come at once get the same one.
            if self._room_for(key):
                return self._started(key, make())
            self._freed.clear()
            try:
                async with asyncio.timeout_at(until):
                    await self._freed.wait()
            except TimeoutError:
                raise McpUnavailable(self._busy(key.owner)) from None

    def _busy(self, owner: UserId) -> str:
        most = self._limits.connections_of_user
        return _ALL_THEIRS.format(most) if sum(one.owner == owner for one in self._held) >= most else _ALL_BUSY

    def _started(self, key: Key, connection: Connection) -> Connection:
        self._held[key] = connection
        connection.take()
        owner = connection.start()
        self._open[owner] = connection

        def ended(task: asyncio.Task[None]) -> None:
            del self._open[task]
            if self._held.get(key) is connection:
                del self._held[key]
            self._freed.set()
            if not task.cancelled() and task.exception() is not None:
                # Told to whoever waits for the connection; here it must only not be lost.
                asyncio.get_running_loop().call_exception_handler(
                    {"message": "an MCP connection ended badly", "exception": task.exception(), "task": task}
                )

        owner.add_done_callback(ended)
        return connection

    def _room_for(self, key: Key) -> bool:
        replaced = self._held.pop(key, None)
        if replaced is not None and not replaced.users:
            replaced.stop()
        theirs = [one for one in self._held if one.owner == key.owner]
        if len(theirs) >= self._limits.connections_of_user and not self._drop_idle(theirs):
            return False
        return len(self._held) < self._limits.connections or self._drop_idle(list(self._held))

    def _drop_idle(self, keys: list[Key]) -> bool:
        """The one that was not used for the longest time."""
        idle = [key for key in keys if not self._held[key].users]
        if not idle:
            return False
        oldest = min(idle, key=lambda key: self._held[key].used_at)
        self._held.pop(oldest).stop()
        return True
