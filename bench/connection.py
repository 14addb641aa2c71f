"""One HTTP/1.1 connection of the load client: raw asyncio, so that the client costs less than what it measures."""

import asyncio
import re
import time
from dataclasses import dataclass, field

TOKEN = b"@ "
"""Ends every token of the fake provider, once, however a server wraps or joins tokens."""

STAMP = re.compile(rb"@(\d{7,})@")


@dataclass(slots=True)
class Response:
    """What came for one request. Times are monotonic nanoseconds; `lags` milliseconds from provider to here."""

    end_mark: bytes | None
    count_tokens: bool
    began: int = 0
    first: int = 0
    ended: int = 0
    status: int = 0
    tokens: int = 0
    ends: int = 0
    size: int = 0
    complete: bool = False
    keep_alive: bool = True
    problem: str = ""
    lags: list[float] = field(default_factory=list)
    body: bytes = b""


class Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.done: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def connection_lost(self, problem: Exception | None) -> None:
        self.transport = None
        if self.done and not self.done.done():
            self.response.problem = "connection lost"
            self._finish()

    def send(self, request: bytes, response: Response) -> asyncio.Future[None]:
        """Send; the future is done when the response has ended."""
        self.done = asyncio.get_running_loop().create_future()
        self.response = response
        self.head, self.carry, self.left, self.chunked = b"", b"", -1, False
        response.began = time.monotonic_ns()
        self.transport.write(request)
        return self.done

    def data_received(self, data: bytes) -> None:
        now = time.monotonic_ns()
        if self.done is None or self.done.done():
            return
        response = self.response
        response.size += len(data)
        if not response.status:
            data = self._head(data)
            if not response.status:
                return
        if not response.count_tokens or response.status != 200:
            response.body += data
        text = self.carry + data
        if response.count_tokens:
            self._tokens(text, now)
        self.carry = text[-16:]
        if self.chunked:
            if text.endswith(b"\r\n0\r\n\r\n") or text == b"0\r\n\r\n":
                self._finish(complete=True)
        else:
            self.left -= len(data)
            if self.left <= 0:
                self._finish(complete=True)

    def _head(self, data: bytes) -> bytes:
        self.head += data
        end = self.head.find(b"\r\n\r\n")
        if end < 0:
            return b""
        head, rest = self.head[:end].lower(), self.head[end + 4 :]
        length = re.search(rb"\r\ncontent-length: *(\d+)", head)
        self.left = int(length[1]) if length else 0
        self.chunked = b"transfer-encoding: chunked" in head
        self.response.keep_alive = b"\r\nconnection: close" not in head
        self.response.status = int(head[9:12])
        return rest

    def _tokens(self, text: bytes, now: int) -> None:
        """Count the tokens before the end mark: the last frame may repeat the whole answer."""
        response, mark, old = self.response, self.response.end_mark, len(self.carry)
        end = len(text)
        if mark:
            seen_before = response.ends
            response.ends += text.count(mark, max(0, old - len(mark) + 1))
            if seen_before:
                return
            if response.ends:
                end = text.find(mark)
        count = text.count(TOKEN, max(0, old - len(TOKEN) + 1), end)
        if not count:
            return
        response.tokens += count
        response.first = response.first or now
        if stamp := STAMP.search(text, old, end):
            response.lags.append(now / 1e6 - int(stamp[1]) / 1e3)

    def _finish(self, *, complete: bool = False) -> None:
        self.response.ended = time.monotonic_ns()
        self.response.complete = complete
        if self.done and not self.done.done():
            self.done.set_result(None)
