"""Where files will be kept."""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from time import perf_counter

from adapters.security import HmacLinkSigner
from application.ports.file_storage import FileStorage
from domain.errors import DomainError, Unavailable
from domain.ids import FileId, new_id
from entrypoints.doctor.disk import room
from entrypoints.doctor.findings import Finding, Status, fail, milliseconds, ok
from entrypoints.doctor.subject import Subject
from entrypoints.graph.container import secrets_of
from entrypoints.graph.files import open_storage

NAME = "storage"


async def writable(subject: Subject) -> Sequence[Finding]:
    if subject.settings.storage.kind == "local":
        return await asyncio.to_thread(tried, subject.settings.data_dir)
    storage = open_storage(subject.settings, HmacLinkSigner(secrets_of(subject.settings)))
    try:
        took = await kept_elsewhere(storage)
    except DomainError as error:
        return [fail(NAME, f"{subject.settings.storage.endpoint}: {error.message}", "see [storage]; then ask again")]
    finally:
        await storage.aclose()
    return [ok(NAME, f"a file is kept at {subject.settings.storage.endpoint} and read back in {milliseconds(took)}")]


async def kept_elsewhere(storage: FileStorage) -> float:
    """Seconds until a file was kept, read and removed. Raises Unavailable."""
    file_id, content = FileId(new_id()), secrets.token_bytes(4096)

    async def whole() -> AsyncIterator[bytes]:
        yield content

    begun = perf_counter()
    await storage.check()
    await storage.write(file_id, whole())
    try:
        read = b"".join([piece async for piece in storage.read(file_id)])
    finally:
        await storage.remove(file_id)
    if read != content:
        raise Unavailable("storage_unavailable", "What was read is not what was written.")
    return perf_counter() - begun


def tried(folder: Path) -> Sequence[Finding]:
    if not folder.exists():
        return [not_made_yet(folder)]
    try:
        took = kept_and_removed(folder)
    except OSError as error:
        mend = "give the folder to the user who runs the server, or set data_dir to one that is theirs"
        return [
            fail(NAME, f"{folder} can't be written: {error.strerror or 'what was read is not what was written'}", mend)
        ]
    space = room(NAME, folder)
    return (
        [space]
        if space.status is not Status.OK
        else [ok(NAME, f"a file is kept in {milliseconds(took)}; {space.message}")]
    )


def kept_and_removed(folder: Path) -> float:
    """Seconds until a file is on the disk. Raises OSError, also when it reads back as something else."""
    path = folder / f".doctor-{secrets.token_hex(8)}"
    content = secrets.token_bytes(4096)
    begun = perf_counter()
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(handle, content)
        os.fsync(handle)
        took = perf_counter() - begun
        os.lseek(handle, 0, os.SEEK_SET)
        if os.read(handle, len(content) + 1) != content:
            raise OSError
    finally:
        os.close(handle)
        path.unlink()
    return took


def not_made_yet(folder: Path) -> Finding:
    """It is made when it is first needed."""
    parent = next(one for one in folder.parents if one.exists())
    if os.access(parent, os.W_OK | os.X_OK):
        return ok(NAME, f"{folder} is not there yet, and can be made")
    return fail(
        NAME, f"{folder} is not there and can't be made", f"make it writable: {parent}, or set data_dir elsewhere"
    )
