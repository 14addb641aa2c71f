"""FileStorage in a folder. The disk works beside the event loop, in a few threads of its own."""

import asyncio
import logging
from calendar import timegm
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Final, TypeVar, TypeVarTuple

from adapters.local_files import disk
from adapters.local_files.errors import unavailable
from application.files.file_ids import is_file_id, time_prefix
from application.files.file_links import address, file_in, granted
from application.ports.security import LinkSigner
from domain.errors import NotFound
from domain.files.files import NamedFile
from domain.ids import FileId

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

log = logging.getLogger("agentchat.storage")

_PIECE: Final = 256 * 1024


class LocalFiles:
    """The folder is made when it is first used; one that vanishes later is an outage, not an empty storage."""

    def __init__(self, folder: Path, signer: LinkSigner, *, threads: int = 4) -> None:
        self._root, self._signer = folder, signer
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="files")
        self._made = False

    async def write(self, file_id: FileId, content: AsyncIterator[bytes]) -> None:
        part = disk.Part(self._root, file_id)
        await self._ready()
        try:
            await self._run(part.open)
            await self._fill(part, content)
            await self._run(part.keep)
        except BaseException:
            await self._discard(part)
            raise

    async def read(self, file_id: FileId, start: int = 0, stop: int | None = None) -> AsyncGenerator[bytes, None]:
        await self._ready()
        content = await self._run(self._opened, file_id)
        try:
            while stop is None or start < stop:
                length = _PIECE if stop is None else min(_PIECE, stop - start)
                piece = await self._run(content.read, start, length)
                if not piece:
                    return
                start += len(piece)
                yield piece
        finally:
            # Not waited for: a thread that still reads closes it when it is done.
            self._submit(content.close)

    async def remove(self, file_id: FileId) -> None:
        await self._ready()
        if is_file_id(file_id):
            await self._run(disk.remove, self._root, file_id)

    async def written_between(self, begin: datetime, end: datetime) -> AsyncGenerator[FileId, None]:
        first, last = time_prefix(begin), time_prefix(end)
        await self._ready()
        for folder in await self._run(disk.folders_between, self._root, first, last):
            for file_id in await self._run(disk.ids_between, folder, first, last):
                yield file_id

    async def link(self, file: NamedFile, expires_at: datetime, server: str) -> str:
        expires = timegm(expires_at.utctimetuple())
        signature = self._signer.sign(granted(file.file_id, file.safe_name, expires))
        return address(server, file.file_id, file.safe_name, expires, signature)

    def file_of(self, address: str) -> FileId | None:
        return file_in(address)

    async def check(self) -> None:
        await self._ready()
        await self._run(disk.check_room, self._root)

    async def aclose(self) -> None:
        self._threads.shutdown(wait=False)

    async def _ready(self) -> None:
        if not self._made:
            await self._run(disk.make_root, self._root)
            self._made = True

    async def _fill(self, part: disk.Part, content: AsyncIterator[bytes]) -> None:
        """Small pieces are gathered: a thread for each would cost more than the writing."""
        gathered: list[bytes] = []
        size = 0
        async for piece in content:
            gathered.append(piece)
            size += len(piece)
            if size >= _PIECE:
                await self._run(part.write, gathered)
                gathered, size = [], 0
        await self._run(part.write, gathered)

    async def _discard(self, part: disk.Part) -> None:
        """The caller waits for it, but not if it is cancelled again; it is done all the same."""
        discarding = self._submit(part.discard)
        discarding.add_done_callback(_noted)
        over = asyncio.gather(asyncio.wrap_future(discarding), return_exceptions=True)
        await asyncio.wait({over})

    def _opened(self, file_id: FileId) -> disk.Content:
        if not is_file_id(file_id):
            raise NotFound("file", file_id)
        try:
            return disk.Content(disk.path_of(self._root, file_id))
        except FileNotFoundError:
            disk.check_root(self._root)
            raise NotFound("file", file_id) from None

    def _submit(self, work: Callable[[], None]) -> "Future[None]":
        try:
            return self._threads.submit(work)
        except RuntimeError:
            # The threads are gone: the server is stopping, and what it leaves must be cleared all the same.
            work()
            done = Future[None]()
            done.set_result(None)
            return done

    async def _run(self, work: Callable[[*Ts], T], *arguments: *Ts) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)
        except OSError as error:
            raise unavailable(error) from error


def _noted(discarding: "Future[None]") -> None:
    if not discarding.cancelled() and (error := discarding.exception()):
        log.error("discard_failed", exc_info=error)
