"""A reverse proxy that does to answers what badly configured ones do. One request a connection."""

import asyncio
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

PING = b"8\r\n: ping\n\n\r\n"
"""A heartbeat as the server sends it: a chunk of its own."""
TOO_LARGE = b"<html><center><h1>413 Request Entity Too Large</h1></center></html>"


@dataclass
class MeddlingProxy:
    """`hold`: streams come when they are over. `mute`: without heartbeats. `squeeze`: compressed, each
    piece at once. `drop`: names of headers that get lost."""

    upstream: int
    hold: bool = False
    mute: bool = False
    squeeze: bool = False
    drop: tuple[str, ...] = ()
    largest_body: int = 1 << 30
    port: int = 0
    tasks: "set[asyncio.Task[None]]" = field(default_factory=set)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield f"http://127.0.0.1:{self.port}"
        finally:
            server.close()
            for task in self.tasks:
                task.cancel()
            await asyncio.gather(*self.tasks, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        try:
            await self._serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self.tasks.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first, headers = await read_head(reader)
        length = int(next((value for name, value in headers if name == "content-length"), "0"))
        if length > self.largest_body:
            head = (
                b"HTTP/1.1 413 Too Large\r\ncontent-type: text/html\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
            )
            writer.write(head % len(TOO_LARGE) + TOO_LARGE)
            await writer.drain()
            return
        try:
            from_server, to_server = await asyncio.open_connection("127.0.0.1", self.upstream)
        except OSError:
            writer.write(b"HTTP/1.1 502 Bad Gateway\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
            return
        kept = [(name, value) for name, value in headers if name != "connection"]
        to_server.write(written(first, [*kept, ("connection", "close")]))
        body = asyncio.ensure_future(forward(reader, to_server))
        try:
            await self._answer(from_server, writer)
        finally:
            body.cancel()
            to_server.transport.abort()

    async def _answer(self, from_server: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first, headers = await read_head(from_server)
        streams = ("content-type", "text/event-stream; charset=utf-8") in headers
        if streams and self.squeeze:
            headers = [*(one for one in headers if one[0] != "transfer-encoding"), ("content-encoding", "gzip")]
        writer.write(written(first, [(name, value) for name, value in headers if name not in self.drop]))
        if streams and self.squeeze:
            await squeezed(from_server, writer)
            return
        if streams and self.hold:
            writer.write(await from_server.read(-1))
            await writer.drain()
            return
        while data := await from_server.read(1 << 16):
            writer.write(data.replace(PING, b"") if streams and self.mute else data)
            await writer.drain()


async def squeezed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """To the end of the connection, without chunks."""
    press = zlib.compressobj(wbits=31)
    while size := int(await reader.readline(), 16):
        data = (await reader.readexactly(size + 2))[:-2]
        writer.write(press.compress(data) + press.flush(zlib.Z_SYNC_FLUSH))
        await writer.drain()
    writer.write(press.flush())
    await writer.drain()


async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Also the news that the client hung up."""
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()
    writer.transport.abort()


async def read_head(reader: asyncio.StreamReader) -> tuple[str, list[tuple[str, str]]]:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines if line)
    return first, [(name.lower(), value.strip()) for name, _, value in pairs]


def written(first: str, headers: list[tuple[str, str]]) -> bytes:
    lines = [first, *(f"{name}: {value}" for name, value in headers)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
