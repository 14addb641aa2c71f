"""Reading documents: each content once, however many files, questions and processes want it."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

from application.files.file_statistics import ReadingStatistics
from application.ports.document_parser import DocumentParser, DocumentRefused
from application.ports.file_storage import FileStorage
from application.ports.persistence import Transactions
from domain.errors import DomainError, InvalidValue, NotFound
from domain.files.documents import ParsedDocument, Reading, Unreadable
from domain.files.files import StoredFile
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
    refused_seconds: float = 60.0
    """For so long a refusal that may pass is given again, without another try."""
    statistics: ReadingStatistics = field(default_factory=ReadingStatistics)
    _in_use: WeakValueDictionary[tuple[str, str], ParsedDocument] = field(default_factory=WeakValueDictionary)
    _reading: dict[tuple[str, str], asyncio.Task[Reading]] = field(default_factory=dict)

    async def __call__(self, file: StoredFile) -> ParsedDocument:
        """Raises InvalidValue with the code of what makes it unreadable; Unavailable when nothing can be read now."""
        # The same bytes are read differently as Markdown and as CSV.
        key = file.sha256, f"{file.kind}/{self.parser.version}"
        if document := self._in_use.get(key):
            self.statistics.done(file.kind, document, known=True)
            return document
        with self.statistics.failures(file.kind):
            reading = known = await self._known(key)
            if reading is None:
                async with self.places.of(file.user_id):
                    reading = await self._shared(key, file)
        self.statistics.done(file.kind, reading, known=known is not None)
        if isinstance(reading, Unreadable):
            raise InvalidValue("file_url", f"{file.name} {reading.reason}", code=reading.code)
        return self._in_use.setdefault(key, reading)

    async def _known(self, key: tuple[str, str]) -> Reading | None:
        sha256, parser = key
        async with self.transactions.autocommit() as tx:
            return (await tx.readings.get([sha256], parser)).get(sha256)

    async def _shared(self, key: tuple[str, str], file: StoredFile) -> Reading:
        """One reading for all who wait for it; it goes on for the others when one of them goes away."""
        while True:
            task, ours = self._reading.get(key), False
            if task is None:
                task, ours = asyncio.create_task(self._read(key, file)), True
                self._reading[key] = task
                task.add_done_callback(lambda done: self._finished(key, done))
            try:
                return await asyncio.shield(task)
            except NotFound:
                # What somebody else read from is gone; ours may be there.
                if ours:
                    raise

    def _finished(self, key: tuple[str, str], done: asyncio.Task[Reading]) -> None:
        if done.cancelled() or done.exception() is not None or not isinstance(done.result(), Unreadable):
            del self._reading[key]
        else:
            asyncio.get_running_loop().call_later(self.refused_seconds, self._reading.pop, key, None)

    async def _read(self, key: tuple[str, str], file: StoredFile) -> Reading:
        sha256, parser = key
        if known := await self._known(key):
            return known
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
        async with aclosing(self.storage.read(file.file_id)) as content:
            try:
                return await self.parser.parse(file.kind, content), True
            except DocumentRefused as refusal:
                return Unreadable(refusal.code, refusal.reason), refusal.lasting
