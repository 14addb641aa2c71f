"""Files as the database knows them, and what was read in them. Each call is one statement, and atomic alone."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from application.paging import Window
from domain.files.documents import Reading
from domain.files.files import StoredFile, Uploaded
from domain.ids import FileId, UserId


class Files(Protocol):
    """A file that was removed, or whose owner was, is found by nothing but the upkeep, which removes its content."""

    async def add(self, file: StoredFile) -> None:
        """Its content is stored already. Adding the same file again changes nothing."""
        ...

    async def get(self, file_id: FileId, *, owner: UserId) -> StoredFile:
        """Raises NotFound `file_not_found`."""
        ...

    async def list(self, window: Window, *, owner: UserId) -> Sequence[StoredFile]:
        """Newest first."""
        ...

    async def these(self, file_ids: Sequence[FileId], *, owner: UserId) -> Sequence[StoredFile]:
        """Those of the files that are there and the owner's, each once, in any order."""
        ...

    async def signed(self, file_id: FileId) -> StoredFile:
        """Whosever it is: the caller has proved the right to it. Raises NotFound."""
        ...

    async def uploaded(self, since: datetime, *, owner: UserId) -> Uploaded:
        """Bytes kept, and the uploads since then, also of files that were removed meanwhile."""
        ...

    async def remove(self, file_id: FileId, now: datetime, *, owner: UserId) -> None:
        """Its row stays for the upkeep. Raises NotFound."""
        ...

    async def removed(self, limit: int, after: FileId | None = None) -> Sequence[FileId]:
        """Files that were removed, or lost their owner, and whose content is still there; by their ids, those
        behind `after`."""
        ...

    async def emptied(self, file_ids: Sequence[FileId]) -> None:
        """The contents of removed files are gone."""
        ...

    async def forget(self, created_before: datetime, limit: int) -> int:
        """Drop the rows of removed files without content that were uploaded before; how many."""
        ...

    async def known(self, file_ids: Sequence[FileId]) -> frozenset[FileId]:
        """Those that have a row, also if removed."""
        ...


class Readings(Protocol):
    """What was read in contents, by SHA-256 in hex, and by the version of the parser that read them."""

    async def get(self, sha256s: Sequence[str], parser: str) -> Mapping[str, Reading]: ...

    async def put(self, sha256: str, parser: str, reading: Reading) -> None:
        """The first one stays."""
        ...

    async def remove_unused(self, limit: int) -> int:
        """Drop those of contents that no file has any more; at most so many. How many were dropped."""
        ...
