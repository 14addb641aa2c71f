"""Reading documents: each content once, however many files, questions and processes want it."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

from application.ports.document_parser import DocumentParser, DocumentRefused
from application.ports.file_storage import FileStorage
from application.ports.persistence import Transactions
from domain.documents import ParsedDocument, Reading, Unreadable
from domain.errors import DomainError, InvalidValue
from domain.files import StoredFile
from domain.ids import UserId

OnTrouble = Callable[[Exception], None]


@dataclass(frozen=True, slots=True)
class ReaderPlaces:
    """How many contents of one user are read at once in this process, so that nobody keeps all parsers to himself."""

    for_each: int
    _taken: WeakValueDictionary[UserId, asyncio.Semaphore] = field(default_factory=WeakValueDictionary)

    def of(self, user_id: UserId) -> asyncio.Semaphore:
        return self._taken.setdefault(user_id, asyncio.Semaphore(self.for_each))


@dataclass(frozen=True, slots=True)
class ReadDocument:
    """What was read is kept in the database. In memory it is shared by those who use it now, and by nobody else."""

    transactions: Transactions
    storage: FileStorage
    parser: DocumentParser
    places: ReaderPlaces
    on_trouble: OnTrouble
    _in_use: WeakValueDictionary[tuple[str, str], ParsedDocument] = field(default_factory=WeakValueDictionary)
    _reading: dict[tuple[str, str], asyncio.Task[Reading]] = field(default_factory=dict)

    async def __call__(self, file: StoredFile, *, field_name: str = "file_url") -> ParsedDocument:
        """Raises InvalidValue with the code of what makes it unreadable; Unavailable when nothing can be read now."""
        # The same bytes are read differently as Markdown and as CSV.
        key = file.sha256, f"{file.kind}/{self.parser.version}"
        if document := self._in_use.get(key):
            return document
        reading = await self._shared(key, file)
        if isinstance(reading, Unreadable):
            raise InvalidValue(field_name, f"{file.name} {reading.reason}", code=reading.code)
        return self._in_use.setdefault(key, reading)

    async def _shared(self, key: tuple[str, str], file: StoredFile) -> Reading:
        """One reading for all who wait for it; it goes on for the others when one of them goes away."""
        task = self._reading.get(key)
        if task is None:
            task = self._reading[key] = asyncio.create_task(self._read(key, file))
            task.add_done_callback(lambda done: self._read_already(key, done))
        return await asyncio.shield(task)

    def _read_already(self, key: tuple[str, str], done: asyncio.Task[Reading]) -> None:
        del self._reading[key]
        if not done.cancelled():
            done.exception()  # whoever waits gets it; nobody may wait any more

    async def _read(self, key: tuple[str, str], file: StoredFile) -> Reading:
        sha256, parser = key
        async with self.transactions.autocommit() as tx:
            known = await tx.readings.get([sha256], parser)
        if sha256 in known:
            return known[sha256]
        reading, lasting = await self._parsed(file)
        if lasting:
            try:
                async with self.transactions.autocommit() as tx:
                    await tx.readings.put(sha256, parser, reading)
            except DomainError as trouble:
                # It is read all the same, and kept by the next who reads it.
                self.on_trouble(trouble)
        return reading

    async def _parsed(self, file: StoredFile) -> tuple[Reading, bool]:
        async with self.places.of(file.user_id), aclosing(self.storage.read(file.file_id)) as content:
            try:
                return await self.parser.parse(file.kind, content), True
            except DocumentRefused as refusal:
                return Unreadable(refusal.code, refusal.reason), refusal.lasting
