"""Each HTTP exchange of the SDK, so that whatever becomes of it costs one request, and not the session.

The SDK ends a session when a request of it fails, does not limit the bodies that it reads, and may ask for a
stream again without a pause. So it gets an answer of ours where none came, and no more than may be.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Final

import httpx2

from adapters.mcp import words
from adapters.mcp.buckets import Bucket
from adapters.mcp.deliveries import DELIVERY
from adapters.mcp.failures import TooMuch, in_place_of_an_answer, never_left, why
from adapters.mcp.limits import McpLimits
from adapters.mcp.weights import Events, too_many_values

SESSION: Final = "mcp-session-id"
_NOTICE_SECONDS: Final = 3.0
"""For what needs no answer: notifications, answers, and the end of a session."""
_STREAM_BYTES: Final = 32 << 20
_STREAM_PACE: Final = 1 << 20
_SHORT_STREAM: Final = 30.0
_LONGEST_GAP: Final = 60.0


class TooLong(httpx2.ReadError):
    """A body of more than a message may have."""


class TooMany(httpx2.ReadError):
    """A body with more values than a message may have."""


class TimedStream(httpx2.AsyncByteStream):
    """Events as they come: until nobody waits any more, and not faster than somebody could mean them."""

    def __init__(self, response: httpx2.Response, until: float | None, most: int) -> None:
        self._response = response
        self._events = Events(most)
        self._until = until

    async def __aiter__(self) -> AsyncIterator[bytes]:
        bucket = Bucket(_STREAM_BYTES, _STREAM_PACE, asyncio.get_running_loop().time)
        pieces = self._response.aiter_raw()
        while True:
            try:
                async with asyncio.timeout_at(self._until):
                    piece = await anext(pieces, None)
            except TimeoutError:
                raise httpx2.ReadTimeout("nobody waits for it any more") from None
            heavy = self._events.ends_too_heavy() if piece is None else self._events.too_much(piece)
            if heavy:
                raise TooMuch(words.TOO_MANY)
            if piece is None:
                return
            if not bucket.take(len(piece)):
                raise httpx2.ReadError("a flood")
            yield piece

    async def aclose(self) -> None:
        await self._response.aclose()


class CarefulExchange(httpx2.AsyncBaseTransport):
    """`broken` is told when the messages of a session can't be sent, where the SDK would keep that to itself."""

    def __init__(
        self,
        client: httpx2.AsyncClient,
        limits: McpLimits,
        *,
        broken: Callable[[str], None] | None,
        forgotten: Callable[[str], None],
    ) -> None:
        self._client = client
        self._limits = limits
        self._broken = broken
        self._forgotten = forgotten
        self._gap = 0.0
        self._asked_at: float | None = None

    async def aclose(self) -> None:
        await self._client.aclose()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.method == "GET":
            await self._paced()
            delivery = DELIVERY.get()
            return await self._answered(request, None if delivery is None else delivery.until)
        if request.method == "POST":
            return await self._posted(request)
        async with asyncio.timeout(_NOTICE_SECONDS):
            return await self._answered(request, None)

    async def _posted(self, request: httpx2.Request) -> httpx2.Response:
        number = _number(request)
        delivery = DELIVERY.get()
        loop = asyncio.get_running_loop()
        seconds = _NOTICE_SECONDS if number is None else self._limits.connect_seconds
        until = loop.time() + seconds if number is None or delivery is None else delivery.until
        if delivery is not None and number is not None:
            delivery.handed_over = True
        trouble = ""
        try:
            async with asyncio.timeout_at(until):
                response = await self._answered(request, until)
            trouble = self._trouble_of(response, number)
        except TimeoutError:
            trouble = words.late(seconds)
        except TooLong:
            trouble = words.too_long(self._limits.message_bytes)
        except TooMany:
            trouble = words.TOO_MANY
        except httpx2.HTTPError as error:
            trouble = why(error)
            if delivery is not None and number is not None and never_left(error):
                delivery.handed_over = False
        if not trouble:
            return response
        return self._replaced(request, number, trouble)

    def _replaced(self, request: httpx2.Request, number: object, trouble: str) -> httpx2.Response:
        if self._broken is not None:
            self._broken(trouble)
        if number is None or self._broken is not None:
            return httpx2.Response(202, request=request)
        return in_place_of_an_answer(request, number, trouble)

    def _trouble_of(self, response: httpx2.Response, number: object) -> str:
        if response.status_code == 404 and (SESSION in response.request.headers or self._broken is not None):
            delivery = DELIVERY.get()
            if delivery is not None and number is not None:
                delivery.handed_over = False
            self._forgotten(words.SESSION_OVER)
            return words.SESSION_OVER
        if response.status_code >= 400 and not _is_json_rpc_error(response):
            return words.status(response.status_code)
        if response.is_success and response.status_code != 202 and number is not None and self._broken is None:
            kind = response.headers.get("content-type", "").lower()
            if not kind.startswith(("application/json", "text/event-stream")):
                return words.NOT_MCP
        return ""

    async def _answered(self, request: httpx2.Request, until: float | None) -> httpx2.Response:
        response = await self._client.send(request, stream=True, follow_redirects=False)
        kind = response.headers.get("content-type", "").lower()
        if response.is_success and kind.startswith("text/event-stream"):
            stream = TimedStream(response, until, self._limits.message_bytes)
            return httpx2.Response(response.status_code, headers=response.headers, stream=stream, request=request)
        try:
            content = await self._whole(response)
        finally:
            await response.aclose()
        return httpx2.Response(response.status_code, headers=response.headers, content=content, request=request)

    async def _whole(self, response: httpx2.Response) -> bytes:
        content = bytearray()
        async for piece in response.aiter_raw():
            content += piece
            if len(content) > self._limits.message_bytes:
                raise TooLong("too long")
        whole = bytes(content)
        if too_many_values(whole):
            raise TooMany("too many values")
        return whole

    async def _paced(self) -> None:
        """A stream that ends at once may be asked for again, later each time."""
        loop = asyncio.get_running_loop()
        if self._asked_at is not None:
            lasted = loop.time() - self._asked_at
            self._gap = 1.0 if lasted > self._gap + _SHORT_STREAM else min(max(1.0, self._gap * 2), _LONGEST_GAP)
            await asyncio.sleep(self._gap)
        self._asked_at = loop.time()


def _number(request: httpx2.Request) -> object:
    """Of the question in it; None when it asks nothing."""
    message = json.loads(request.content)
    return message.get("id") if "method" in message else None


def _is_json_rpc_error(response: httpx2.Response) -> bool:
    try:
        said = json.loads(response.content)
    except (ValueError, RecursionError):
        return False
    return isinstance(said, dict) and isinstance(said.get("error"), dict)
