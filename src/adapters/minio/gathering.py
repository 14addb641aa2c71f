"""What a client has sent of a part: on the disk, for slow clients would hold much memory for long."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Final

from adapters.minio.errors import NotGathered

_IN_MEMORY: Final = 256 * 1024


class Gathering:
    """`add` is for the event loop; all other methods touch the disk, and raise NotGathered.

    The file has no name: nothing of it is left when the process is killed.
    """

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._in_memory = self._on_disk = 0
        self._file: IO[bytes] | None = None

    @property
    def size(self) -> int:
        return self._in_memory + self._on_disk

    def add(self, piece: bytes) -> bool:
        """Whether it is time to `spill`."""
        self._pieces.append(piece)
        self._in_memory += len(piece)
        return self._in_memory >= _IN_MEMORY

    def spill(self) -> None:
        with _told():
            if self._file is None:
                self._file = tempfile.TemporaryFile()  # noqa: SIM115
            self._file.writelines(self._pieces)
        self._on_disk += self._in_memory
        self._pieces, self._in_memory = [], 0

    def take(self) -> bytes:
        """All of it, and be empty."""
        if self._file is None:
            whole = b"".join(self._pieces)
        else:
            self.spill()
            whole = self._emptied(self._file)
        self._pieces, self._in_memory, self._on_disk = [], 0, 0
        return whole

    def close(self) -> None:
        # What a full disk did not take is tried again here, and is wanted by nobody.
        with suppress(OSError):
            if self._file is not None:
                self._file.close()

    def _emptied(self, file: IO[bytes]) -> bytes:
        with _told():
            file.seek(0)
            whole = file.read()
            file.seek(0)
            file.truncate()
        return whole


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise NotGathered(error.errno, error.strerror) from error
