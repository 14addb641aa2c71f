"""A user's files: listing, showing, removing them, and handing their contents out to whoever has a signed address."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from application.files.file_links import granted
from application.paging import Page, Position, Window
from application.ports.clock import Clock
from application.ports.file_storage import FileStorage
from application.ports.persistence import Transactions
from application.ports.security import LinkSigner
from domain.errors import DomainError, Forbidden, NotFound
from domain.files.files import NamedFile, StoredFile
from domain.ids import FileId, UserId

SIGNED_IN_ONE_GO: Final = 20
"""Addresses: to sign thousands takes a second, in which nobody else would be served."""
EMPTIED_SECONDS: Final = 5.0
"""That a deletion waits for the storage."""

_LAST_MOMENT: Final = 253_402_300_799
"""The end of the year 9999, in seconds since 1970."""


@dataclass(frozen=True, slots=True)
class LinkedFile:
    """A file, and the address under which anybody can read it for a while."""

    file: StoredFile
    url: str


@dataclass(frozen=True, slots=True)
class LinkFile:
    """Signs an address anew, each time that it is shown."""

    storage: FileStorage
    clock: Clock
    lifetime: timedelta

    async def __call__(self, file: NamedFile, server: str) -> str:
        return await self.storage.link(file, self.clock.now() + self.lifetime, server)


@dataclass(frozen=True, slots=True)
class ListFiles:
    transactions: Transactions
    link: LinkFile

    async def __call__(self, actor: UserId, window: Window, server: str) -> Page[LinkedFile]:
        async with self.transactions.autocommit() as tx:
            rows = await tx.files.list(window, owner=actor)
        found = Page.cut(rows, window, lambda file: Position(file.created_at, file.file_id))
        return Page(await self._linked(found.items, server), found.next_cursor)

    async def _linked(self, files: Sequence[StoredFile], server: str) -> list[LinkedFile]:
        linked = []
        for file in files:
            linked.append(LinkedFile(file, await self.link(file, server)))
            if len(linked) % SIGNED_IN_ONE_GO == 0:
                await asyncio.sleep(0)
        return linked


@dataclass(frozen=True, slots=True)
class ShowFile:
    transactions: Transactions
    link: LinkFile

    async def __call__(self, actor: UserId, file_id: FileId, server: str) -> LinkedFile:
        async with self.transactions.autocommit() as tx:
            file = await tx.files.get(file_id, owner=actor)
        return LinkedFile(file, await self.link(file, server))


@dataclass(frozen=True, slots=True)
class RemoveFile:
    """Once its row is marked nobody finds the file. The content goes at once if it can; else the upkeep removes it."""

    transactions: Transactions
    storage: FileStorage
    clock: Clock

    async def __call__(self, actor: UserId, file_id: FileId) -> None:
        async with self.transactions.autocommit() as tx:
            await tx.files.remove(file_id, self.clock.now(), owner=actor)
        with suppress(DomainError, TimeoutError):
            async with asyncio.timeout(EMPTIED_SECONDS):
                await self.storage.remove(file_id)
            async with self.transactions.autocommit() as tx:
                await tx.files.emptied([file_id])


@dataclass(frozen=True, slots=True)
class ServedFile:
    file: StoredFile
    expires_at: datetime
    storage: FileStorage

    def content(self, start: int, stop: int) -> AsyncGenerator[bytes, None]:
        """Raises NotFound before the first piece, Unavailable before any."""
        return self.storage.read(self.file.file_id, start, stop)


@dataclass(frozen=True, slots=True)
class ServeFile:
    """Opens a file for whoever has an address that this server signed. Everything else is the same NotFound."""

    transactions: Transactions
    storage: FileStorage
    signer: LinkSigner
    clock: Clock

    async def __call__(self, file_id: FileId, name: str, expires: str, signature: str) -> ServedFile:
        """Raises Forbidden `link_expired` for an address that was right once."""
        moment = _parse_moment(expires)
        if moment is None or not self.signer.is_signed(granted(file_id, name, moment), signature):
            raise NotFound("file", file_id)
        expires_at = datetime.fromtimestamp(moment, UTC)
        if expires_at <= self.clock.now():
            raise Forbidden("link_expired", "This address has expired: GET /api/v1/files gives its owner a new one.")
        async with self.transactions.autocommit() as tx:
            file = await tx.files.signed(file_id)
        return ServedFile(file, expires_at, self.storage)


def _parse_moment(expires: str) -> int | None:
    """Seconds as `address` writes them: another spelling of the number was not signed."""
    if not (expires.isascii() and expires.isdecimal() and len(expires) <= len(str(_LAST_MOMENT))):
        return None
    moment = int(expires)
    return moment if str(moment) == expires and moment <= _LAST_MOMENT else None
