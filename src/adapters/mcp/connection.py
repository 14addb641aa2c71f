"""One connection to an MCP server: a task of its own opens it, keeps it, and closes it when it is idle.

What the SDK enters must be left in the same task. Calls run in the tasks of those who call.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from contextvars import Context
from typing import Protocol, TypeVar

from adapters.mcp import words
from adapters.mcp.deliveries import DELIVERY, Cut, Delivery
from adapters.mcp.limits import McpLimits
from application.ports.mcp_connections import McpTool, McpUnavailable
from application.ports.tool_runner import ToolOutput
from domain.tools.tools import JsonValue

_T = TypeVar("_T")


class Line(Protocol):
    """What a wire tells of itself."""

    def list_changed(self) -> None: ...

    def broken(self, why: str) -> None:
        """Nothing more comes or goes. The first reason counts."""
        ...

    def heard(self) -> None: ...


class Wire(Protocol):
    """An open session. Raises Undelivered, McpUnavailable; `call` also ToolFailed."""

    async def tools(self) -> Sequence[McpTool]: ...

    async def call(self, tool: str, arguments: Mapping[str, JsonValue]) -> ToolOutput: ...


Open = Callable[[Line], AbstractAsyncContextManager[Wire]]
"""Raises McpUnavailable when it is entered."""


class Connection:
    """Opened when `start` is called. Whoever uses it takes it and gives it back."""

    def __init__(self, load: Callable[[], Open], limits: McpLimits, clock: Callable[[], float]) -> None:
        self._load = load
        self._limits = limits
        self._clock = clock
        self._stopped = asyncio.Event()
        self._ready: asyncio.Future[Wire] = asyncio.get_running_loop().create_future()
        # Whoever waited for it may be gone.
        self._ready.add_done_callback(lambda ready: ready.cancelled() or ready.exception())
        self._owner: asyncio.Task[None] | None = None
        self._why = ""
        self._suspect = False
        self._heard_at = clock()
        self._listing = asyncio.Lock()
        self._changes = 0
        self._listed: tuple[float, Sequence[McpTool]] | None = None
        self.users = 0
        self.used_at = clock()
        self.counted = False
        """Whether its end was counted as a failure of the server: once, however many calls it took along."""

    def start(self) -> asyncio.Task[None]:
        # In a context of its own: it serves others than who came first.
        self._owner = asyncio.create_task(self._own(), name="mcp-connection", context=Context())
        return self._owner

    @property
    def usable(self) -> bool:
        """Also while it is being opened."""
        return not self._stopped.is_set() and not self._suspect

    def take(self) -> None:
        self.users += 1

    def give_back(self) -> None:
        self.users -= 1
        self.used_at = self._clock()
        if self._suspect and not self.users:
            self.stop()

    def stop(self, why: str = "") -> None:
        """The first reason counts."""
        if self._stopped.is_set():
            return
        self._why = self._why or why
        self._stopped.set()
        if not self._ready.done() and self._owner is not None:
            self._owner.cancel()

    async def ended(self) -> None:
        """Until everything of it is closed, or can't be."""
        while self._owner is not None and not self._owner.done():
            done, _ = await asyncio.wait({self._owner}, timeout=self._limits.close_seconds)
            if not done:
                self._owner.cancel()

    def list_changed(self) -> None:
        self._changes += 1
        self._listed = None

    def broken(self, why: str) -> None:
        self.stop(why)

    def heard(self) -> None:
        self._heard_at = self._clock()

    async def tools(self, until: float, *, fresh: bool = False) -> Sequence[McpTool]:
        """Raises McpUnavailable, and Undelivered. `fresh`: whatever is remembered. `until` is by the loop's clock."""
        return await self._in_time(self._tools(until, fresh=fresh), until)

    async def call(self, tool: str, arguments: Mapping[str, JsonValue], until: float) -> ToolOutput:
        """Raises ToolFailed, McpUnavailable, and Undelivered."""
        return await self._in_time(self._asked(lambda wire: wire.call(tool, arguments), until), until)

    async def _tools(self, until: float, *, fresh: bool) -> Sequence[McpTool]:
        async with self._listing:
            known = self._listed
            if not fresh and known is not None and self._clock() < known[0] + self._limits.remember_seconds:
                return known[1]
            changes = self._changes
            tools = await self._asked(lambda wire: wire.tools(), until)
            if changes == self._changes:
                self._listed = self._clock(), tools
            return tools

    async def _in_time(self, asked: Awaitable[_T], until: float) -> _T:
        began, loop = self._clock(), asyncio.get_running_loop()
        seconds = until - loop.time()
        try:
            async with asyncio.timeout_at(until):
                return await asked
        except TimeoutError:
            # The tool may be slow, or nobody may be there any more: others are not sent the same way.
            # One that is still being opened goes on: what starts slowly is there for whoever comes next.
            self._suspect = self._suspect or (self._ready.done() and self._heard_at < began)
            raise McpUnavailable(words.late(seconds)) from None

    async def _asked(self, ask: Callable[[Wire], Awaitable[_T]], until: float) -> _T:
        wire = await asyncio.shield(self._ready)
        token = DELIVERY.set(Delivery(until))
        try:
            return await ask(wire)
        except Cut:
            raise McpUnavailable(self._why or words.CUT_IN_CALL) from None
        finally:
            DELIVERY.reset(token)

    async def _own(self) -> None:
        loop = asyncio.get_running_loop()
        seconds = self._limits.connect_seconds
        late: asyncio.TimerHandle | None = None
        try:
            opened = await asyncio.to_thread(self._load)
            late = loop.call_later(seconds, self._give_up, words.late(seconds))
            async with opened(self) as wire:
                late.cancel()
                self._ready.set_result(wire)
                await self._until_stopped()
        except McpUnavailable as trouble:
            self._why = self._why or str(trouble)
        finally:
            if late is not None:
                late.cancel()
            self._stopped.set()
            if not self._ready.done():
                self._ready.set_exception(McpUnavailable(self._why or words.NO_CONNECTION))

    def _give_up(self, why: str) -> None:
        if not self._ready.done():
            self.stop(why)

    async def _until_stopped(self) -> None:
        while not self._stopped.is_set():
            left = self._limits.idle_seconds
            if not self.users:
                left -= self._clock() - self.used_at
            if left <= 0:
                self.stop()
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._stopped.wait()
