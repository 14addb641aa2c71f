"""Contents on their way to a child: in files without a name, which vanish with the process that holds them."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import IO, Final

from domain.errors import Unavailable

_BATCH: Final = 1 << 20
_LITTLE: Final = 1 << 16
"""As much is written faster than a thread is woken."""


@asynccontextmanager
async def spooled(content: AsyncIterator[bytes]) -> AsyncIterator[int]:
    """A descriptor of all the content. The memory that this takes is one batch, however long the content is.

    Raises Unavailable `parser_unavailable` when there is no room for it.
    """
    file = _file()
    try:
        batch = bytearray()
        async for chunk in content:
            batch += chunk
            if len(batch) >= _BATCH:
                await _write(file, bytes(batch))
                batch.clear()
        await _write(file, bytes(batch))
        yield file.fileno()
    finally:
        file.close()


def _file() -> IO[bytes]:
    try:
        return tempfile.TemporaryFile(buffering=0)
    except OSError as error:
        raise _no_room() from error


async def _write(file: IO[bytes], data: bytes) -> None:
    if len(data) <= _LITTLE:
        try:
            return _write_all(file, data)
        except OSError as error:
            raise _no_room() from error
    # Shielded: a thread must not write into a descriptor that was closed and given to somebody else.
    writing = asyncio.ensure_future(asyncio.to_thread(_write_all, file, data))
    try:
        await asyncio.shield(writing)
    except asyncio.CancelledError:
        await asyncio.wait({writing})
        raise
    except OSError as error:
        raise _no_room() from error


def _write_all(file: IO[bytes], data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]


def _no_room() -> Unavailable:
    return Unavailable("parser_unavailable", "There is no room to read documents in: try again later.", retry_after=30)
