"""McpConnections over the pool. Importing this does not import the SDK."""

import asyncio
import hashlib
import json
import random
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from datetime import datetime
from typing import TYPE_CHECKING, Final, TypeVar

from adapters.mcp import words
from adapters.mcp.breaker import Breaker
from adapters.mcp.connection import Connection, Open
from adapters.mcp.deliveries import Undelivered
from adapters.mcp.limits import McpLimits
from adapters.mcp.pool import Key, Pool
from application.ports.mcp_connections import McpTool, McpUnavailable
from application.ports.tool_runner import ToolFailed, ToolOutput
from domain.ids import McpServerId
from domain.tools.mcp_servers import McpAddress, McpServer
from domain.tools.tools import JsonValue

if TYPE_CHECKING:
    import httpx2

_T = TypeVar("_T")
_GONE_KEPT: Final = 4096

MakeClient = Callable[[], "httpx2.AsyncClient"]
"""A client that reaches only what users may reach. Called in a thread; whoever asked for it closes it."""


class SdkMcpConnections:
    """Implements McpConnections. One for a process; close it when the server stops."""

    def __init__(
        self,
        make_client: MakeClient,
        limits: McpLimits | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._make_client = make_client
        self._limits = limits or McpLimits()
        self._clock = clock
        self._breaker = Breaker(clock, jitter)
        self._pool: Pool | None = None
        self._gone: OrderedDict[tuple[McpServerId, bytes], datetime] = OrderedDict()

    async def tools(self, server: McpServer, *, fresh: bool = False) -> Sequence[McpTool]:
        until = asyncio.get_running_loop().time() + self._limits.listing_seconds
        return await self._asked(server, lambda connection: connection.tools(until, fresh=fresh))

    async def call(self, server: McpServer, tool: str, arguments: Mapping[str, JsonValue]) -> ToolOutput:
        until = asyncio.get_running_loop().time() + self._limits.call_seconds
        return await self._asked(server, lambda connection: connection.call(tool, arguments, until))

    async def forget(self, server_id: McpServerId, before: McpServer | None = None) -> None:
        if before is not None:
            self._gone[server_id, digest(before.address)] = before.updated_at
            while len(self._gone) > _GONE_KEPT:
                self._gone.popitem(last=False)
        self._breaker.forget(lambda key: isinstance(key, Key) and key.server_id == server_id)
        if self._pool is not None:
            await asyncio.gather(*(one.ended() for one in self._pool.forget(server_id)))

    async def aclose(self) -> None:
        if self._pool is not None:
            await self._pool.aclose()

    async def _asked(self, server: McpServer, ask: Callable[[Connection], Awaitable[_T]]) -> _T:
        key = Key(server.server_id, server.user_id, digest(server.address))
        if pause := self._breaker.pause(key):
            raise McpUnavailable(f"it failed several times; it is asked again in {max(1, round(pause))} seconds.")
        self._refuse_gone(key, server)
        with suppress(Undelivered):
            async with self._leased(key, server.address) as connection, self._judged(key, connection):
                return await ask(connection)
        # It slept, or was started anew: nothing was carried out, so nothing is carried out twice.
        self._refuse_gone(key, server)
        async with self._leased(key, server.address) as connection, self._judged(key, connection, again=True):
            return await ask(connection)

    def _refuse_gone(self, key: Key, server: McpServer) -> None:
        """An answer that began before may still have it as it was. Who came back to an address has it since later."""
        left = self._gone.get((key.server_id, key.address))
        if left is not None and server.updated_at <= left:
            raise McpUnavailable(words.GONE)

    @asynccontextmanager
    async def _judged(self, key: Key, connection: Connection, *, again: bool = False) -> AsyncIterator[None]:
        try:
            yield
        except ToolFailed:
            self._breaker.succeeded(key)
            raise
        except McpUnavailable as trouble:
            if not connection.counted and (again or not isinstance(trouble, Undelivered)):
                # A connection that ended takes all its calls along; one that is open fails call by call.
                connection.counted = not connection.usable
                self._breaker.failed(key)
            raise
        self._breaker.succeeded(key)

    def _leased(self, key: Key, address: McpAddress) -> AbstractAsyncContextManager[Connection]:
        if self._pool is None:
            self._pool = Pool(self._limits)

        def load() -> Open:
            from adapters.mcp.opening import opener

            return opener(address, self._make_client, self._limits)

        return self._pool.lease(key, lambda: Connection(load, self._limits, self._clock))


def digest(address: McpAddress) -> bytes:
    said = [address.transport, address.url, address.headers, address.command, address.args, address.env]
    return hashlib.sha256(json.dumps(said).encode()).digest()
