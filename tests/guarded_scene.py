"""Servers and names for the guarded web: names resolve as a test says, listeners count who comes."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from adapters.web.guarded import GuardedHttp
from application.ports.guarded_web import WebRequest
from domain.tools.addresses import Reach
from servers.byte_server import Exchange, Script

LOOPBACK = ("127.0.0.1/32",)
TLS = ssl.create_default_context()
"""Made once: it takes longer than most tests."""


class Names:
    """Each name has a list of answers; the last one is given again and again."""

    def __init__(self, **answers: Sequence[Sequence[str]]) -> None:
        self._answers = {name.replace("_", "."): list(given) for name, given in answers.items()}
        self.asked: list[str] = []

    async def __call__(self, host: str) -> Sequence[str]:
        self.asked.append(host)
        given = self._answers.get(host)
        if given is None:
            raise OSError("no such name")
        return given.pop(0) if len(given) > 1 else given[0]


class Listener:
    """Takes connections and counts them, and what was said on them."""

    def __init__(self) -> None:
        self.connections = 0
        self.heard = b""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.heard += await reader.read(65_536)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\nconnection: close\r\n\r\nsecret")
        writer.close()


@asynccontextmanager
async def listening_at(address: str, port: int = 0) -> AsyncIterator[tuple[Listener, int]]:
    listener = Listener()
    server = await asyncio.start_server(listener.serve, address, port)
    try:
        yield listener, server.sockets[0].getsockname()[1]
    finally:
        server.close()


@asynccontextmanager
async def guarded(
    names: Names | None = None, *, opened: Sequence[str] = LOOPBACK, ports: Sequence[int] = ()
) -> AsyncIterator[GuardedHttp]:
    web = GuardedHttp(Reach.of(opened, ports), resolve=names or Names(), tls=TLS)
    try:
        yield web
    finally:
        await web.aclose()


def get(url: str) -> WebRequest:
    return WebRequest("GET", url)


def saying(body: bytes, headers: str = "", status: int = 200) -> Script:
    async def script(exchange: Exchange) -> None:
        head = f"HTTP/1.1 {status} Said\r\ncontent-length: {len(body)}\r\n{headers}\r\n"
        # Who has read enough hangs up.
        with suppress(ConnectionError):
            await exchange.raw(head.encode() + body)

    return script


def sending_to(location: str, status: int = 302) -> Script:
    return saying(b"", f"location: {location}\r\n", status)
