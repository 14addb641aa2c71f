"""The body of a response, read as the network delivers it."""

from collections.abc import AsyncIterator

import aiohttp
import httpx2
from aiohttp.http_exceptions import HttpProcessingError

BROKEN = (aiohttp.ClientError, HttpProcessingError, OSError)
ERROR_BODY_LIMIT = 1 << 20


class ResponseBody(httpx2.AsyncByteStream):
    """One read gives everything that has arrived. Closing it early cuts the connection at once.

    `most` are the bytes of the whole body; what comes behind them counts as a cut.
    """

    def __init__(self, response: aiohttp.ClientResponse, most: int | None = None) -> None:
        self._response = response
        self._left = most
        self._read = response.content.readany

    async def read(self) -> bytes:
        """The bytes that arrived, or none at the end. Raises httpx2.ReadError when the connection was cut."""
        try:
            data = await self._read()
        except BROKEN as error:
            if kept := self._kept():
                return kept
            raise httpx2.ReadError("the connection was cut") from error
        if self._left is not None:
            self._left -= len(data)
            if self._left < 0:
                self.close()
                raise httpx2.ReadError("the answer is longer than any may be")
        return data

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """For readers of whole bodies, which are errors: what is longer than any error is left out."""
        size = 0
        while size < ERROR_BODY_LIMIT and (data := await self.read()):
            size += len(data)
            yield data

    def _kept(self) -> bytes:
        """What arrived before a break: aiohttp has it, and would not give it out any more."""
        return self._response.content._read_nowait(-1)

    def close(self) -> None:
        """Without waiting: aiohttp has already taken the connection back when the body was read to its end."""
        connection = self._response.connection
        if connection is not None and connection.transport is not None:
            connection.transport.abort()
        self._response.close()

    async def aclose(self) -> None:
        self.close()


BODY_EXTENSION = "agentchat.body"


def body_of(response: httpx2.Response) -> ResponseBody:
    """The body itself, without the layers that httpx2 puts around it: they cost more than the read."""
    body = response.extensions[BODY_EXTENSION]
    assert isinstance(body, ResponseBody)  # noqa: S101 - the client is ours
    return body
