"""The processes of one server find each other in a folder: whichever is asked for numbers tells those of all."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PATIENCE_SECONDS: Final = 2.0
"""For a neighbour that is starting, ending or too busy to answer; then the others' numbers go without its own."""


@dataclass(frozen=True, slots=True)
class WorkerPlace:
    """Which of `count` processes on one socket this is. Who takes over its place has its number too."""

    number: int = 0
    count: int = 1
    folder: Path | None = None
    patience: float = PATIENCE_SECONDS

    @asynccontextmanager
    async def answering(self, numbers: Callable[[], bytes]) -> AsyncIterator[None]:
        """Tells its neighbours `numbers` whenever they ask."""
        if self.folder is None:
            yield
            return

        async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                writer.write(numbers())
                with suppress(OSError):
                    await writer.drain()
            finally:
                writer.close()

        server = await asyncio.start_unix_server(answer, sock=self._door(self.folder))
        try:
            yield
        finally:
            server.close()

    async def neighbours(self) -> dict[int, bytes]:
        """What each of the others told; nothing from one that gave no answer in time."""
        others = [number for number in range(self.count) if number != self.number]
        return dict(zip(others, await asyncio.gather(*map(self._asked, others)), strict=True))

    async def _asked(self, number: int) -> bytes:
        if self.folder is None:
            return b""
        try:
            async with asyncio.timeout(self.patience):
                reader, writer = await asyncio.open_unix_connection(_path(self.folder, number))
                try:
                    return await reader.read()
                finally:
                    writer.close()
        except (OSError, TimeoutError):
            return b""

    def _door(self, folder: Path) -> socket.socket:
        """Put in its place whole, over that of the process that had it before, which may still be ending."""
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        passing = f"{_path(folder, self.number)}.{os.getpid()}"
        made.bind(passing)
        made.listen()
        os.rename(passing, _path(folder, self.number))
        return made


def _path(folder: Path, number: int) -> str:
    return str(folder / str(number))
