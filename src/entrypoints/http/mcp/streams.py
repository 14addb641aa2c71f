"""What is sent back: one JSON document, or a stream of events for what takes a while."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
from litestar.types import Receive, Scope, Send

from entrypoints.http.client_watch import STALLED_SECONDS, watched
from entrypoints.http.mcp.messages import INTERNAL_ERROR, RequestId, error, result
from entrypoints.http.sse import EVENT_STREAM, HEARTBEAT, json_line

log = logging.getLogger("agentchat.http")

PROGRESS_SECONDS: Final = 1.0

Headers = Sequence[tuple[bytes, bytes]]


class Document:
    """A plain ASGI app."""

    def __init__(self, value: object, status: int = 200, headers: Headers = ()) -> None:
        self._body = b"" if value is None else msgspec.json.encode(value)
        self._status = status
        self._headers = headers

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        kind = [(b"content-type", b"application/json")] if self._body else []
        headers = [*kind, (b"content-length", str(len(self._body)).encode()), *self._headers]
        await send({"type": "http.response.start", "status": self._status, "headers": headers})
        await send({"type": "http.response.body", "body": self._body, "more_body": False})


class Progress:
    """What a waiting client is told; each time with a larger number, as MCP wants it."""

    def __init__(self, token: RequestId | None) -> None:
        self.token = token
        self.sentence = ""
        self._count = 0

    def tell(self, sentence: str) -> None:
        self.sentence = sentence

    def note(self) -> bytes:
        if self.token is None:
            return HEARTBEAT
        self._count += 1
        params = {"progressToken": self.token, "progress": self._count, "message": self.sentence}
        return frame({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})


class Waiting:
    """The result of `work`, as a document when it is quick, else at the end of a stream that shows that one waits.

    `gone` is done when the client goes away before.
    """

    def __init__(
        self,
        request_id: RequestId,
        work: Callable[[], Awaitable[Mapping[str, Any]]],
        gone: Callable[[], Awaitable[None]],
        progress: Progress,
        heartbeat: float,
        *,
        streams: bool,
    ) -> None:
        self._request_id = request_id
        self._work = work
        self._gone = gone
        self._progress = progress
        self._beat = heartbeat if progress.token is None else min(heartbeat, PROGRESS_SECONDS)
        self._streams = streams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        work = asyncio.ensure_future(self._answer())
        left = watched(receive)
        begun = False
        try:
            while not work.done():
                await asyncio.wait({work, left}, timeout=self._beat, return_when=asyncio.FIRST_COMPLETED)
                if work.done():
                    break
                if left.done() or (begun and not await _taken(send, self._progress.note())):
                    await self._gone()
                    return
                if self._streams and not begun:
                    await send({"type": "http.response.start", "status": 200, "headers": EVENT_STREAM})
                    begun = True
            if begun:
                await _taken(send, frame(work.result()), last=True)
            else:
                await Document(work.result())(scope, receive, send)
        finally:
            work.cancel()
            left.cancel()

    async def _answer(self) -> Mapping[str, object]:
        try:
            return result(self._request_id, await self._work())
        except Exception:
            log.exception("mcp_call_crashed")
            return error(self._request_id, INTERNAL_ERROR, "The server made a mistake; its log tells more.")


def frame(message: object) -> bytes:
    return b"event: message\ndata: %b\n\n" % json_line(message)


async def _taken(send: Send, body: bytes, *, last: bool = False) -> bool:
    try:
        async with asyncio.timeout(STALLED_SECONDS):
            await send({"type": "http.response.body", "body": body, "more_body": not last})
    except TimeoutError:
        return False
    return True
