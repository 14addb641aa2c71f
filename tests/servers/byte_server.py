"""A server that answers HTTP byte by byte as a test says: faults that no well-behaved server can make."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


class Exchange:
    """One request, and the words of its answer."""

    def __init__(self, method: str, path: str, headers: dict[str, str], body: bytes) -> None:
        self.method = method
        self.path = path
        self.headers = headers
        self.body = body
        self.closed = asyncio.Event()
        """The client closed the connection."""
        self.closed_at = 0.0
        self.heard = asyncio.Event()
        """For the test to tell the script that the client has what was sent."""
        self._writer: asyncio.StreamWriter

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    async def raw(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def head(self) -> None:
        await self.raw(HEAD)

    async def chunk(self, data: bytes) -> None:
        await self.raw(b"%x\r\n%b\r\n" % (len(data), data))

    async def events(self, *payloads: object) -> None:
        """Each as JSON in an event of its own; bytes as they are."""
        if not payloads:
            return
        written = [p if isinstance(p, bytes) else json.dumps(p, ensure_ascii=False).encode() for p in payloads]
        await self.chunk(b"".join(b"data: %b\n\n" % payload for payload in written))

    async def end(self) -> None:
        await self.raw(b"0\r\n\r\n")

    async def refuse(self, status: int, body: object, headers: str = "") -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        head = f"HTTP/1.1 {status} No\r\ncontent-type: application/json\r\ncontent-length: {len(data)}\r\n{headers}\r\n"
        await self.raw(head.encode() + data)

    def abort(self) -> None:
        self._writer.transport.abort()


Script = Callable[[Exchange], Awaitable[None]]


class ByteServer:
    """Plays one script a request, the last one again and again."""

    def __init__(self, *scripts: Script, port: int = 0) -> None:
        self._scripts = scripts
        self._port = port
        self.exchanges: list[Exchange] = []
        self.connections = 0
        self._arrived = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        host, port = self._server.sockets[0].getsockname()[:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def request(self, number: int = 0) -> Exchange:
        """The exchange of that number, when its request has arrived."""
        while len(self.exchanges) <= number:
            self._arrived.clear()
            await self._arrived.wait()
        return self.exchanges[number]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            await self._converse(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            # Cancelled by the end of the test: asyncio would log it.
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        begun = await reader.read(1)
        while begun:
            exchange = await _read(begun, reader)
            exchange._writer = writer
            self.exchanges.append(exchange)
            self._arrived.set()
            script = self._scripts[min(len(self.exchanges), len(self._scripts)) - 1]
            playing = asyncio.ensure_future(script(exchange))
            try:
                # The client says nothing before it has its answer, so that a read tells when it hangs up.
                begun = await reader.read(1)
            except ConnectionError:
                begun = b""
            if not begun:
                exchange.closed_at = asyncio.get_running_loop().time()
                exchange.closed.set()
                playing.cancel()
            await asyncio.gather(playing, return_exceptions=not begun)


async def _read(begun: bytes, reader: asyncio.StreamReader) -> Exchange:
    head = (begun + await reader.readuntil(b"\r\n\r\n")).decode()
    request, *lines = head.split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    method, path, _ = request.split(" ")
    return Exchange(method, path, headers, body)
