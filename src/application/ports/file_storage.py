"""The conversation with whatever keeps the contents of files: one object for each file id."""

from collections.abc import AsyncGenerator, AsyncIterator
from datetime import datetime
from typing import Protocol

from domain.files.files import NamedFile
from domain.ids import FileId


class FileStorage(Protocol):
    """Contents by file id. All methods raise Unavailable `storage_unavailable` when the storage can't be reached.

    Safe for any number of calls at once; memory does not grow with the size of a content.
    """

    async def write(self, file_id: FileId, content: AsyncIterator[bytes]) -> None:
        """Keep the content. It is there whole and durable once this returns, and not at all when it raises.

        What `content` raises comes through as it is. A cancelled write leaves nothing that can be read.
        """
        ...

    def read(self, file_id: FileId, start: int = 0, stop: int | None = None) -> AsyncGenerator[bytes, None]:
        """The bytes from `start` up to `stop` (exclusive; None to the end), in pieces of at most 1 MiB.

        Raises NotFound `file_not_found`, before the first piece. Closing it releases what it holds.
        """
        ...

    async def remove(self, file_id: FileId) -> None:
        """Also when there is none."""
        ...

    def written_between(self, begin: datetime, end: datetime) -> AsyncGenerator[FileId, None]:
        """Ids of the contents whose writing began then, by the time in their ids; of finished ones and, where the
        storage shows them, of unfinished ones. What is no file id is not ours and left alone."""
        ...

    async def link(self, file: NamedFile, expires_at: datetime, server: str) -> str:
        """An address under which anybody can read the file until then, without an account.

        `server` is the address under which the caller reached this server, without a slash at the end.
        """
        ...

    def file_of(self, address: str) -> FileId | None:
        """The file that an address of this storage names, however old; None for every other text. Fetches nothing."""
        ...

    async def check(self) -> None:
        """One cheap round trip. Raises Unavailable."""
        ...
