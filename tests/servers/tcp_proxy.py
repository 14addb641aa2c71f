"""A TCP proxy that fails as networks do: it refuses, or it keeps connections open and forwards nothing."""

import asyncio
from types import TracebackType
from typing import Literal, Self

from patience import PATIENCE


class TcpProxy:
    """`async with TcpProxy(port) as proxy:` listens on `proxy.port`. `manner` is how newcomers are treated."""

    def __init__(self, target: int) -> None:
        self.manner: Literal["forward", "hold", "refuse"] = "forward"
        self.port = 0
        self._target = target
        self._flows: list[asyncio.Event] = []
        self._clients: list[asyncio.StreamWriter] = []
        self._serving: set[asyncio.Task[None]] = set()
        self._arrival = asyncio.Condition()
        self._arrived = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, _t: type[BaseException] | None, _e: BaseException | None, _b: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    def freeze(self) -> None:
        """The connections of now stay open and forward nothing any more, not even their end."""
        for flow in self._flows:
            flow.clear()

    async def say(self, data: bytes) -> None:
        """To all who are connected, as if the server had said it."""
        for client in self._clients:
            client.write(data)
            await client.drain()

    async def newcomers(self, count: int) -> None:
        """Wait for so many more to connect."""
        async with asyncio.timeout(PATIENCE), self._arrival:
            last = self._arrived + count
            await self._arrival.wait_for(lambda: self._arrived >= last)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        manner = self.manner
        try:
            async with self._arrival:
                self._arrived += 1
                self._arrival.notify_all()
            if manner == "hold":
                await asyncio.Event().wait()
            if manner == "forward":
                await self._forward(reader, writer)
        except asyncio.CancelledError:
            return
        finally:
            self._serving.discard(task)
            writer.close()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        flow = asyncio.Event()
        flow.set()
        self._flows.append(flow)
        self._clients.append(writer)
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self._target)
        try:
            await asyncio.gather(_pump(reader, inner_writer, flow), _pump(inner_reader, writer, flow))
        finally:
            inner_writer.close()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter, flow: asyncio.Event) -> None:
    try:
        while data := await source.read(65536):
            await flow.wait()
            sink.write(data)
    except ConnectionError:
        pass
    await flow.wait()
    sink.close()
