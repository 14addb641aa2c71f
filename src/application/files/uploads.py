"""Uploading: a content streams through, is counted, hashed and looked at, and is kept whole or not at all."""

import hashlib
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from application.files.file_statistics import UploadStatistics
from application.files.files import LinkedFile, LinkFile
from application.ports.clock import Clock
from application.ports.file_storage import FileStorage
from application.ports.persistence import Transaction, Transactions
from domain.errors import DomainError, TooLarge, TooManyRequests, Unavailable
from domain.files.file_kinds import KindSniffer
from domain.files.files import UPLOAD_WINDOW, StoredFile, Uploaded, UploadQuota, parse_file_name
from domain.ids import FileId, UserId, new_id


class Incoming(Protocol):
    """A file on its way here."""

    @property
    def at_least(self) -> int:
        """Bytes that the file has, by what was announced; 0 when nothing was."""
        ...

    async def begin(self) -> str:
        """Wait for the file, and tell its name as the client sent it."""
        ...

    def content(self) -> AsyncIterator[bytes]:
        """The file's bytes. Raises after the last of them what is wrong with all that follows."""
        ...


@dataclass(slots=True)
class UploadPlaces:
    """How many uploads go on at once in this process; one user has a quarter of the places at most."""

    most: int
    _taken: Counter[UserId] = field(default_factory=Counter)

    @property
    def most_of_one(self) -> int:
        return max(1, self.most // 4)

    @property
    def under_way(self) -> int:
        return self._taken.total()

    @contextmanager
    def taken(self, user_id: UserId) -> Iterator[None]:
        """Raises Unavailable `uploads_busy`, or TooManyRequests `too_many_uploads`."""
        if self._taken.total() >= self.most:
            raise Unavailable("uploads_busy", "The server is at its limit of uploads at once.", retry_after=2)
        if self._taken[user_id] >= self.most_of_one:
            message = f"At most {self.most_of_one} uploads at once are possible for one user."
            raise TooManyRequests("too_many_uploads", message, retry_after=2)
        self._taken[user_id] += 1
        try:
            yield
        finally:
            self._taken[user_id] -= 1
            if not self._taken[user_id]:
                del self._taken[user_id]


@dataclass(slots=True)
class Measured:
    """What is known of a content once it streamed through. Raises as soon as it can't be taken any more.

    `refuse` raises when so many bytes are too many.
    """

    name: str
    refuse: Callable[[int], None]
    size: int = 0
    _sniffer: KindSniffer = field(init=False)
    _hash: "hashlib._Hash" = field(default_factory=hashlib.sha256)

    def __post_init__(self) -> None:
        self._sniffer = KindSniffer(self.name)

    async def through(self, content: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        async for piece in content:
            self.size += len(piece)
            self.refuse(self.size)
            self._sniffer.feed(piece)
            self._hash.update(piece)
            yield piece
        self._sniffer.kind()

    def file(self, file_id: FileId, owner: UserId, clock: Clock) -> StoredFile:
        kind, sha256 = self._sniffer.kind(), self._hash.hexdigest()
        return StoredFile(file_id, owner, self.name, kind, self.size, sha256, clock.now())


@dataclass(frozen=True, slots=True)
class UploadFile:
    """The object first, the row second: a row without its content is never seen."""

    transactions: Transactions
    storage: FileStorage
    clock: Clock
    link: LinkFile
    places: UploadPlaces
    max_bytes: int
    quota: UploadQuota = UploadQuota()
    statistics: UploadStatistics = field(default_factory=UploadStatistics)

    async def __call__(self, actor: UserId, incoming: Incoming, server: str) -> LinkedFile:
        with self.statistics.failures(), self.places.taken(actor):
            refuse_larger(incoming.at_least, self.max_bytes)
            refuse = partial(self._refuse_beyond, await self._uploaded(actor))
            refuse(max(1, incoming.at_least))
            file = await self._store(actor, incoming, refuse)
            await self._record(file)
        self.statistics.taken(file)
        return LinkedFile(file, await self.link(file, server))

    async def _store(self, actor: UserId, incoming: Incoming, refuse: Callable[[int], None]) -> StoredFile:
        measured = Measured(parse_file_name(await incoming.begin()), refuse)
        file_id = FileId(new_id())
        await self.storage.write(file_id, measured.through(incoming.content()))
        return measured.file(file_id, actor, self.clock)

    async def _record(self, file: StoredFile) -> None:
        try:
            async with self.transactions.begin() as tx:
                if self.quota.is_limited:
                    # Whoever uploads a second file meanwhile waits here, and is then measured with this one.
                    await tx.users.locked(file.user_id)
                    self._refuse_beyond(await self._uploaded_by(tx, file.user_id), file.size)
                await tx.files.add(file)
        except Unavailable:
            # The content stays: the commit may still land. If it never does, the upkeep removes what has no row.
            if not await self._is_recorded(file):
                raise
        except DomainError:
            await self._discard(file.file_id)
            raise

    async def _is_recorded(self, file: StoredFile) -> bool:
        """Whether the row is there, though its acknowledgement was lost. Raises Unavailable while nobody can say."""
        async with self.transactions.autocommit() as tx:
            return bool(await tx.files.these([file.file_id], owner=file.user_id))

    async def _uploaded(self, actor: UserId) -> Uploaded:
        if not self.quota.is_limited:
            return Uploaded()
        async with self.transactions.autocommit() as tx:
            return await self._uploaded_by(tx, actor)

    async def _uploaded_by(self, tx: Transaction, actor: UserId) -> Uploaded:
        return await tx.files.uploaded(self.clock.now() - UPLOAD_WINDOW, owner=actor)

    def _refuse_beyond(self, uploaded: Uploaded, size: int) -> None:
        """Whichever limit is the smaller one says so, also while the content streams."""
        refuse_larger(size, self.max_bytes)
        uploaded.refuse_beyond(self.quota, size, self.clock.now())

    async def _discard(self, file_id: FileId) -> None:
        with suppress(DomainError):  # what stays is removed by the upkeep
            await self.storage.remove(file_id)


def refuse_larger(size: int, limit: int) -> None:
    """Raises TooLarge `file_too_large`."""
    if size > limit:
        mebibytes = f"{limit / (1 << 20):,.2f}".rstrip("0").rstrip(".")
        raise TooLarge("file", f"at most {limit:,} bytes ({mebibytes} MiB) are taken", code="file_too_large")
