"""What comes from a server, before the SDK sees it: only what somebody waits for, and not too much of it."""

import asyncio
from types import TracebackType
from typing import Final, Self

import mcp_types as types
from mcp.client._transport import ReadStream
from mcp.shared.message import SessionMessage

from adapters.mcp import words
from adapters.mcp.buckets import Bucket
from adapters.mcp.connection import Line

LIST_CHANGED: Final = "notifications/tools/list_changed"

Reads = ReadStream[SessionMessage | Exception]


class WatchedReads:
    """Notifications go no further: the SDK would start a task for each. Its questions are few, or it is a flood."""

    def __init__(self, inner: Reads, line: Line) -> None:
        clock = asyncio.get_running_loop().time
        self._inner = inner
        self._line = line
        self._messages = Bucket(2_000, 100, clock)
        self._questions = Bucket(50, 1, clock)

    @property
    def last_context(self) -> object:
        return getattr(self._inner, "last_context", None)

    async def receive(self) -> SessionMessage | Exception:
        return await self.__anext__()

    async def __anext__(self) -> SessionMessage | Exception:
        while True:
            try:
                item = await self._inner.__anext__()
            except StopAsyncIteration:
                self._line.broken("")
                raise
            self._line.heard()
            if not self._messages.take() or (_is_question(item) and not self._questions.take()):
                self._line.broken(words.FLOOD)
                raise StopAsyncIteration
            if isinstance(item, SessionMessage):
                if not isinstance(item.message, types.JSONRPCNotification):
                    return item
                if item.message.method == LIST_CHANGED:
                    self._line.list_changed()

    def __aiter__(self) -> Self:
        return self

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


def _is_question(item: SessionMessage | Exception) -> bool:
    return isinstance(item, SessionMessage) and isinstance(item.message, types.JSONRPCRequest)
