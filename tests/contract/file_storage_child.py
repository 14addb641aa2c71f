"""A process of its own that writes into a storage, for tests of its memory, its limits and its death.

`python file_storage_child.py TASK KIND PLACE`; KIND is `local` or `s3`, PLACE the folder or the endpoint.
"""

import asyncio
import os
import resource
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from adapters.local_files import LocalFiles
from contract.file_storage_fixtures import SIGNER, Source, Storage, file_id, opened, read, s3, write
from domain.errors import Unavailable

MIB = 1024 * 1024


async def memory(storage: Storage) -> None:
    """How many MB the peak grew by 20 writes of 20 MiB at once."""
    await asyncio.gather(*(write(storage, file_id(), Source(6 * MIB)) for _ in range(2)))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    await asyncio.gather(*(write(storage, file_id(), Source(20 * MIB)) for _ in range(20)))
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)


async def reading(storage: Storage) -> None:
    """How many MB the peak grew by 20 readers at once of a file of 20 MiB."""
    one = file_id()
    await write(storage, one, Source(20 * MIB))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    async def pull() -> int:
        return sum([len(piece) async for piece in storage.read(one)])

    assert await asyncio.gather(*(pull() for _ in range(20))) == [20 * MIB] * 20
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)


async def dying(storage: Storage) -> None:
    """Print the id when half is written, and wait for the end."""
    one = file_id()

    async def stalling() -> AsyncIterator[bytes]:
        yield bytes(11 * MIB)
        yield b"more"
        print(one, flush=True)
        await asyncio.Event().wait()

    await storage.write(one, stalling())


async def limited(storage: Storage) -> None:
    """A file that is too large for the disk, and one that is not. What the first is told, and what there is then."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (MIB, MIB))
    one, small = file_id(), file_id()
    try:
        await write(storage, one, Source(3 * MIB))
    except Unavailable as error:
        print(error.message)
    await write(storage, small, Source(MIB))
    print(*(path.name == small for path in Path(sys.argv[3]).rglob("*") if path.is_file()))


async def spilling(storage: Storage) -> None:
    """A file that the disk for temporary files has no room for, and one that needs none. What both are told."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (MIB, MIB))
    for step in (64 * 1024, MIB - 1):
        try:
            await write(storage, file_id(), Source(3 * MIB, step))
        except Unavailable as error:
            print(error.message)
    await write(storage, file_id(), Source(MIB // 8))
    tempfile.tempdir = "/nowhere"
    try:
        await write(storage, file_id(), Source(3 * MIB))
    except Unavailable as error:
        print(error.message)


async def forbidden(storage: Storage) -> None:
    """Everything, without the right to it."""
    one = file_id()
    await write(storage, one, b"x")
    os.chmod(sys.argv[3], 0)
    if os.geteuid() == 0:
        os.setuid(65534)
    for call in (write(storage, file_id(), b"x"), read(storage, one), storage.remove(one), storage.check()):
        try:
            await call
        except Unavailable as error:
            print(error.message)


TASKS = {
    "memory": memory,
    "reading": reading,
    "dying": dying,
    "limited": limited,
    "spilling": spilling,
    "forbidden": forbidden,
}


async def main(task: str, kind: str, place: str) -> None:
    async with opened(LocalFiles(Path(place), SIGNER) if kind == "local" else s3(place)) as storage:
        await TASKS[task](storage)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4]))
