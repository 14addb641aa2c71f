"""A response as bytes, and a connection that is cut at a chosen one of them."""

import asyncio
import socket
import struct
from dataclasses import dataclass, field
from enum import StrEnum

DONE = b"event: done"
SILENT_SECONDS = 2.0
"""How long a client that vanished without a word keeps its old connection."""


class Place(StrEnum):
    """Where in a response something is."""

    BEFORE = "before the first byte of the body"
    CHUNK = "inside of a chunk's framing"
    CHARACTER = "inside of a character"
    FRAME = "inside of a frame"
    BETWEEN = "between frames"
    AFTER = "after done"


class Manner(StrEnum):
    """How a connection ends: in order, by a reset, or by silence while the next one is open already."""

    CLOSE = "closed"
    RESET = "reset"
    SILENT = "left open"


class Outcome(StrEnum):
    ENDED = "ended"
    CUT = "cut"
    BROKEN = "broken"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Cut:
    """After `size` bytes of the response, on to `place` if one is given, or after `seconds`: whichever comes first.

    With `in_body` both count from the first byte of the body on.
    """

    size: int
    seconds: float
    manner: Manner
    place: Place | None = None
    in_body: bool = False
    half_sent: bool = False


@dataclass(slots=True)
class Wire:
    """Takes a response in pieces of any size."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    frames: list[bytes] = field(default_factory=list)
    tail: bytes = b""
    """What came of the frame that is not whole yet; of a response that is no stream, all."""
    done: bool = False
    ended: bool = False
    size: int = 0
    body_size: int = 0
    _buffer: bytes = b""
    _state: str = "head"
    _left: int = 0

    def feed(self, data: bytes) -> None:
        self.size += len(data)
        self._buffer += data
        while self._buffer and not self.ended and self._step():
            pass

    def head_of(self, data: bytes) -> int:
        """How many bytes of `data` still belong to the head."""
        if self.status:
            return 0
        end = (self._buffer + data).find(b"\r\n\r\n")
        return len(data) if end < 0 else end + 4 - len(self._buffer)

    @property
    def place(self) -> Place:
        if not self.body_size:
            return Place.BEFORE
        if self.done:
            return Place.AFTER
        if self._state != "data" and self._buffer:
            return Place.CHUNK
        if self.tail:
            return Place.CHARACTER if inside_character(self.tail) else Place.FRAME
        return Place.BETWEEN

    def _step(self) -> bool:
        """Whether anything could be taken."""
        if self._state in {"data", "plain"}:
            return self._take_body()
        if self._state == "close of chunk":
            return self._line("size") is not None
        if self._state == "size":
            line = self._line("data")
            if line:
                self._left = int(line, 16)
                self._state = "data" if self._left else "trailer"
            return line is not None
        if self._state == "trailer":
            self.ended = self._line("over") is not None
            return self.ended
        return self._take_head()

    def _line(self, then: str) -> bytes | None:
        line, found, rest = self._buffer.partition(b"\r\n")
        if not found:
            return None
        self._buffer, self._state = rest, then
        return line

    def _take_head(self) -> bool:
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return False
        first, *lines = head.decode("latin-1").split("\r\n")
        for line in lines:
            name, _, value = line.partition(":")
            self.headers[name.lower()] = value.strip()
        self.status, self._buffer = int(first[9:12]), rest
        self._left = int(self.headers.get("content-length", 0))
        self._state = "size" if "transfer-encoding" in self.headers else "plain"
        self.ended = self._state == "plain" and not self._left
        return True

    def _take_body(self) -> bool:
        piece, self._buffer = self._buffer[: self._left], self._buffer[self._left :]
        self._left -= len(piece)
        self.body_size += len(piece)
        self.tail += piece
        if self._state == "plain":
            self.ended = not self._left
            return True
        if not self._left:
            self._state = "close of chunk"
        if b"\n\n" in self.tail:
            *whole, self.tail = self.tail.split(b"\n\n")
            self.frames += [frame + b"\n\n" for frame in whole if not frame.startswith(b":")]
            self.done = self.done or any(DONE in frame.split(b"\n", 2)[1] for frame in self.frames[-1:])
        return True


def inside_character(tail: bytes) -> bool:
    for back in range(1, min(4, len(tail)) + 1):
        byte = tail[-back]
        if byte < 0x80:
            return False
        if byte >= 0xC0:
            return back < (2 if byte < 0xE0 else 3 if byte < 0xF0 else 4)
    return False


class Talk(asyncio.Protocol):
    """One request and its response, until it ends, breaks, or is cut. What comes after the cut is never looked at."""

    def __init__(self, request: bytes, cut: Cut | None) -> None:
        self.loop = asyncio.get_running_loop()
        self.request, self.cut, self.wire = request, cut, Wire()
        self.over: asyncio.Future[Outcome] = self.loop.create_future()
        self.timer: asyncio.TimerHandle | None = None
        self.budget = cut.size if cut else 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport
        cut = self.cut
        if cut and cut.half_sent:
            transport.write(self.request[: max(1, cut.size % len(self.request))])
            self.loop.call_later(0.002, self._cut)
            return
        transport.write(self.request)
        if cut and not cut.in_body:
            self.timer = self.loop.call_later(cut.seconds, self._cut)

    def connection_lost(self, problem: Exception | None) -> None:
        self._finish(Outcome.BROKEN)

    def data_received(self, data: bytes) -> None:
        if self.over.done():
            return
        if self.cut is None:
            self.wire.feed(data)
        else:
            self._feed_to_cut(data, self.cut)
        if self.wire.ended and not self.over.done():
            self.transport.close()
            self._finish(Outcome.ENDED)

    def _feed_to_cut(self, data: bytes, cut: Cut) -> None:
        wire = self.wire
        if cut.in_body and not wire.body_size:
            rest = self._feed_to_body(data)
            if rest is None:
                return
            data = rest
            self.budget += wire.size
            self.timer = self.loop.call_later(cut.seconds, self._cut)
        allowed = max(0, self.budget - wire.size)
        if cut.place is Place.AFTER:
            allowed = len(data) if DONE not in wire.tail + data else max(0, data.find(DONE))
        wire.feed(data[:allowed])
        for position in range(allowed, len(data)):
            if cut.place is None or wire.place is cut.place:
                break
            wire.feed(data[position : position + 1])
        else:
            if cut.place is None or wire.place is not cut.place:
                return
        if not wire.ended:
            self._cut()

    def _feed_to_body(self, data: bytes) -> bytes | None:
        """What is left of the data once the body has begun; None before."""
        begun = self.wire.head_of(data)
        self.wire.feed(data[:begun])
        while begun < len(data) and not self.wire.body_size:
            self.wire.feed(data[begun : begun + 1])
            begun += 1
        return data[begun:] if self.wire.body_size else None

    def _cut(self) -> None:
        if self.over.done() or not self.cut or self.wire.ended:
            return
        if self.cut.manner is Manner.SILENT and not self.cut.half_sent:
            self.transport.pause_reading()
            self.loop.call_later(SILENT_SECONDS, self.transport.abort)
        elif self.cut.manner is Manner.RESET:
            handle = self.transport.get_extra_info("socket")
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.transport.abort()
        else:
            self.transport.close()
        self._finish(Outcome.CUT)

    def _finish(self, outcome: Outcome) -> None:
        if self.timer:
            self.timer.cancel()
        if not self.over.done():
            self.over.set_result(outcome)


async def talk(port: int, request: bytes, cut: Cut | None, patience: float) -> tuple[Outcome, Wire]:
    """Raises TimeoutError when nothing of it comes to an end."""
    try:
        _, spoken = await asyncio.get_running_loop().create_connection(lambda: Talk(request, cut), "127.0.0.1", port)
    except OSError:
        return Outcome.REFUSED, Wire()
    try:
        async with asyncio.timeout(patience):
            return await spoken.over, spoken.wire
    finally:
        if not spoken.over.done() or spoken.over.cancelled():
            spoken.transport.abort()


def request(method: str, path: str, token: str, body: bytes = b"", headers: tuple[str, ...] = ()) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {token}", *headers]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body
