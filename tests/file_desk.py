"""A storage in memory and a parser of plain text, with behaviour, for tests of what stands above them."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from io import BytesIO
from urllib.parse import urlsplit

from adapters.database.transactions import DatabaseTransactions
from application.ports.document_parser import DocumentRefused
from domain.conversation.conversation import Image
from domain.errors import NotFound, Unavailable
from domain.files.documents import Page, ParsedDocument
from domain.files.files import FileKind, NamedFile, StoredFile
from domain.ids import FileId, UserId, new_id
from stored import NOW

SERVER = "http://server.test"


@dataclass
class MemoryFiles:
    """`down` makes every call fail as an unreachable storage does."""

    contents: dict[FileId, bytes] = field(default_factory=dict)
    down: bool = False
    reads: int = 0

    async def write(self, file_id: FileId, content: AsyncIterator[bytes]) -> None:
        written = BytesIO()
        async for piece in content:
            self._refuse_down()
            written.write(piece)
        self._refuse_down()
        self.contents[file_id] = written.getvalue()

    async def read(self, file_id: FileId, start: int = 0, stop: int | None = None) -> AsyncGenerator[bytes, None]:
        self._refuse_down()
        if file_id not in self.contents:
            raise NotFound("file", file_id)
        self.reads += 1
        wanted = self.contents[file_id][start:stop]
        for at in range(0, len(wanted), 1 << 20):
            yield wanted[at : at + (1 << 20)]

    async def remove(self, file_id: FileId) -> None:
        self._refuse_down()
        self.contents.pop(file_id, None)

    async def written_between(self, begin: datetime, end: datetime) -> AsyncGenerator[FileId, None]:
        self._refuse_down()
        for file_id in list(self.contents):
            yield file_id

    async def link(self, file: NamedFile, expires_at: datetime, server: str) -> str:
        return f"{server}/memory/{file.file_id}"

    def file_of(self, address: str) -> FileId | None:
        path = urlsplit(address).path
        return FileId(path.removeprefix("/memory/")) if path.startswith("/memory/") else None

    async def check(self) -> None:
        self._refuse_down()

    def _refuse_down(self) -> None:
        if self.down:
            raise Unavailable("storage_unavailable", "The storage can't be reached.")


@dataclass
class PlainParser:
    """Text, pages between form feeds. A content that begins with `refuse CODE` is refused, lastingly unless `now`."""

    version: str = "plain-1"
    parsed: list[FileKind] = field(default_factory=list)
    gate: asyncio.Event | None = None
    """What begins with `slow` is read when it is set."""
    reading: int = 0

    async def parse(self, kind: FileKind, content: AsyncIterator[bytes]) -> ParsedDocument:
        text = await _whole(content)
        self.parsed.append(kind)
        if self.gate is not None and text.startswith("slow"):
            self.reading += 1
            await self.gate.wait()
        _refuse(text)
        pages, start = [], 0
        for number, page in enumerate(text.split("\f"), 1):
            pages.append(Page(number, f"page {number}", start, start + len(page)))
            start += len(page) + 1
        return ParsedDocument(text, tuple(pages) if len(pages) > 1 else ())

    async def picture(self, kind: FileKind, content: AsyncIterator[bytes]) -> Image:
        text = await _whole(content)
        _refuse(text)
        return Image(kind.media_type, text.encode())


async def _whole(content: AsyncIterator[bytes]) -> str:
    return b"".join([piece async for piece in content]).decode()


def _refuse(text: str) -> None:
    if text.startswith("refuse "):
        _, code, *now = text.split()
        raise DocumentRefused(code, "can't be read", lasting=not now)


def file_of(owner: UserId, content: bytes, name: str = "notes.txt", kind: FileKind = FileKind.TEXT) -> StoredFile:
    return StoredFile(FileId(new_id()), owner, name, kind, len(content), sha256(content).hexdigest(), NOW)


async def stored(
    transactions: DatabaseTransactions,
    storage: MemoryFiles,
    owner: UserId,
    content: bytes,
    name: str = "notes.txt",
    kind: FileKind = FileKind.TEXT,
) -> str:
    """A file of the owner's, and its address."""
    file = file_of(owner, content, name, kind)
    storage.contents[file.file_id] = content
    async with transactions.autocommit() as tx:
        await tx.files.add(file)
    return f"{SERVER}/memory/{file.file_id}?signature=old"
