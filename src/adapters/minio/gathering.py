"""What a client has sent of a part: on the disk, for slow clients would hold much memory for long."""

import tempfile
from typing import Final

_IN_MEMORY: Final = 256 * 1024


class Gathering:
    """`add` is for the event loop; all other methods touch the disk."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._in_memory = self._on_disk = 0
        self._file: tempfile._TemporaryFileWrapper[bytes] | None = None

    @property
    def size(self) -> int:
        return self._in_memory + self._on_disk

    def add(self, piece: bytes) -> bool:
        """Whether it is time to `spill`."""
        self._pieces.append(piece)
        self._in_memory += len(piece)
        return self._in_memory >= _IN_MEMORY

    def spill(self) -> None:
        if self._file is None:
            self._file = tempfile.NamedTemporaryFile(prefix="agentchat-part-")  # noqa: SIM115
        self._file.writelines(self._pieces)
        self._on_disk += self._in_memory
        self._pieces, self._in_memory = [], 0

    def take(self) -> bytes:
        """All of it, and be empty."""
        if self._file is None:
            whole = b"".join(self._pieces)
        else:
            self.spill()
            self._file.seek(0)
            whole = self._file.read()
            self._file.seek(0)
            self._file.truncate()
        self._pieces, self._in_memory, self._on_disk = [], 0, 0
        return whole

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
