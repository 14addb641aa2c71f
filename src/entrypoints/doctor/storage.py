"""Where files will be kept."""

import asyncio
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

from entrypoints.doctor.disk import room
from entrypoints.doctor.findings import Finding, Status, fail, milliseconds, ok, warn
from entrypoints.doctor.subject import Subject

NAME = "storage"


async def writable(subject: Subject) -> Sequence[Finding]:
    storage = subject.settings.storage
    if storage.kind == "minio":
        message = f"minio at {storage.endpoint} was not tried: this version takes no uploads yet"
        return [warn(NAME, message, "leave it, or unset [storage] kind until uploads are there")]
    return await asyncio.to_thread(tried, subject.settings.data_dir)


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
