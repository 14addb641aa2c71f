"""What the tests of the file storages share: the storages, ids of chosen times, and contents of any size."""

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from adapters.local_files import LocalFiles
from adapters.minio import MinioFiles
from adapters.security import HmacLinkSigner
from application.files.file_ids import TIME_LENGTH, time_prefix
from application.ports.file_storage import FileStorage
from domain.errors import NotFound, Unavailable
from domain.files.files import FileKind, StoredFile
from domain.ids import FileId, UserId, new_id
from servers.seaweedfs import ACCESS_KEY, BUCKET, SECRET_KEY, SeaweedFS

SIGNER = HmacLinkSigner(["a-secret-of-the-tests-of-file-storages-0123"])
HOUR = timedelta(hours=1)
Storage = LocalFiles | MinioFiles


def file_id(moment: datetime | None = None) -> FileId:
    """Of now, or of that time."""
    made = new_id()
    return FileId(made if moment is None else time_prefix(moment) + made[TIME_LENGTH:])


def stored(of: FileId, name: str = "report.pdf", kind: FileKind = FileKind.PDF) -> StoredFile:
    return StoredFile(of, UserId("ann"), name, kind, 1, "0" * 64, datetime.now(UTC))


def s3(server: SeaweedFS | str, **options: Any) -> MinioFiles:
    endpoint = server if isinstance(server, str) else server.endpoint
    given = {"endpoint": endpoint, "access_key": ACCESS_KEY, "secret_key": SECRET_KEY, "bucket": BUCKET}
    return MinioFiles(**(given | {"secure": False} | options))


def hurried(endpoint: SeaweedFS | str, **options: object) -> MinioFiles:
    return s3(endpoint, **({"connect_timeout": 0.3, "read_timeout": 0.3, "check_timeout": 0.3} | options))


@asynccontextmanager
async def opened(storage: Storage) -> AsyncGenerator[Storage, None]:
    try:
        yield storage
    finally:
        await storage.aclose()


@asynccontextmanager
async def local(folder: Path) -> AsyncGenerator[Storage, None]:
    async with opened(LocalFiles(folder, SIGNER)) as storage:
        yield storage


class Source:
    """A content of that size, the same bytes each time, in pieces of `step`; it raises `then` at its end."""

    def __init__(self, size: int, step: int = 65_536, then: BaseException | None = None) -> None:
        self.size, self.step, self.then = size, step, then
        self.given = 0
        self.sha256 = hashlib.sha256()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while self.given < self.size:
            piece = pattern(self.given, min(self.given + self.step, self.size))
            self.given += len(piece)
            self.sha256.update(piece)
            yield piece
        if self.then is not None:
            raise self.then


_PERIOD = bytes(value * value % 251 for value in range(65_537))


def pattern(start: int, stop: int) -> bytes:
    """The bytes of every Source from the one place up to the other. No power of two is a multiple of its period."""
    first = start % len(_PERIOD)
    copies = (first + stop - start) // len(_PERIOD) + 1
    return (_PERIOD * copies)[first : first + stop - start] if stop > start else b""


async def write(storage: FileStorage, of: FileId, source: Source | bytes) -> None:
    await storage.write(of, aiter(source if isinstance(source, Source) else _once(source)))


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def read(storage: FileStorage, of: FileId, start: int = 0, stop: int | None = None) -> bytes:
    async with aclosing(storage.read(of, start, stop)) as pieces:
        return b"".join([piece async for piece in pieces])


async def listed(storage: FileStorage, begin: datetime, end: datetime) -> list[FileId]:
    async with aclosing(storage.written_between(begin, end)) as ids:
        return [one async for one in ids]


async def around_now(storage: FileStorage) -> list[FileId]:
    return await listed(storage, datetime.now(UTC) - HOUR, datetime.now(UTC) + HOUR)


async def refusal(call: Awaitable[object]) -> str:
    """What an Unavailable says."""
    with pytest.raises(Unavailable) as refused:
        await call
    assert refused.value.code == "storage_unavailable"
    assert refused.value.retry_after
    return refused.value.message


async def is_missing(storage: FileStorage, of: FileId) -> bool:
    try:
        await read(storage, of, 0, 0)
    except NotFound as error:
        return error.code == "file_not_found"
    return False
