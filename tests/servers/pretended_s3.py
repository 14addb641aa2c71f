"""A server in the place of an S3 storage that answers as a test says: what no well-behaved storage would."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

Answer = Callable[[str, str], bytes | None]
"""From the method, and the path with its query, to the bytes of the answer; None for silence, and b"" to hang up."""


def answer(status: str, body: bytes = b"", *headers: str, length: int | None = None) -> bytes:
    head = [f"HTTP/1.1 {status}", f"content-length: {len(body) if length is None else length}", *headers, "", ""]
    return "\r\n".join(head).encode() + body


def xml(status: str, body: str, *headers: str) -> bytes:
    return answer(status, body.encode(), "content-type: application/xml", *headers)


@dataclass
class PretendedS3:
    says: Answer
    requests: list[str] = field(default_factory=list)
    connections: int = 0
    endpoint: str = ""
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.endpoint = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self, _t: type[BaseException] | None, _e: BaseException | None, _b: TracebackType | None
    ) -> None:
        self._server.close()
        for writer in self._open:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open.add(writer)
        try:
            while await self._exchange(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._open.discard(writer)
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        lengths = [line.split(":")[1] for line in head if line.lower().startswith("content-length:")]
        await reader.readexactly(int(lengths[0]) if lengths else 0)
        method, address, _ = head[0].split(" ")
        parts = urlsplit(address)
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        self.requests.append(f"{method} {path}")
        said = self.says(method, path)
        if said is None:
            await asyncio.Event().wait()
        if not said:
            return False
        writer.write(said)
        await writer.drain()
        return True
