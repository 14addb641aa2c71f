"""Knowledge at a test's hand: a real database, texts for documents, words for vectors, and a queue that is worked in
order, without waiting: time passes where a job asks for it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from sqlalchemy import text

from account_desk import SetClock
from adapters.database.tables import metadata
from adapters.database.transactions import DatabaseTransactions
from adapters.scripted import ScriptedEmbedder, ScriptedEmbedders
from application.files.document_reading import ReadDocument, ReaderPlaces
from application.jobs.asked_work import AskForWork
from application.jobs.jobs_by_kind import DoJob
from application.knowledge.ingestion import Ingest
from application.knowledge.ingestion_steps import MOST_CHUNKS, IngestionSteps
from application.knowledge.knowledge import CreateKnowledge, DeleteKnowledge
from application.knowledge.knowledge_files import AddKnowledgeFile, DeleteKnowledgeFile, RetryKnowledgeFile
from application.knowledge.knowledge_upkeep import KeepKnowledge
from application.knowledge.purging import Purge
from application.knowledge.reindexing import Reindex
from application.ports.job_queue import Again, Job, JobHandler, JobKind
from application.ports.persistence import Transactions
from domain.errors import Unavailable
from domain.files.files import StoredFile
from domain.ids import UserId
from domain.knowledge.chunking import ChunkSize
from domain.knowledge.knowledge import KnowledgeBase, KnowledgeDraft, KnowledgeFile, pause_before
from file_desk import MemoryFiles, PlainParser, stored

START = datetime(2026, 11, 23, 12, tzinfo=UTC)
SMALL = ChunkSize(12, 2)


@dataclass
class MemoryQueue:
    """Implements JobQueue, but for `work`: a test takes the jobs by hand. `down` is a queue that can't be reached."""

    waiting_jobs: list[tuple[datetime, Job]] = field(default_factory=list)
    clock: SetClock = field(default_factory=lambda: SetClock(START))
    down: bool = False
    done: list[str] = field(default_factory=list)
    """Subjects of what was taken, in order."""
    pauses: list[timedelta] = field(default_factory=list)
    failures: list[BaseException] = field(default_factory=list)

    async def put(self, job: Job) -> None:
        if self.down:
            raise Unavailable("queue_unavailable", "The queue can't be reached, as wanted.")
        for at, (due, other) in enumerate(self.waiting_jobs):
            if _alike(job, other):
                self.waiting_jobs[at] = due, replace(other, rank=min(job.rank, other.rank))
                return
        self.waiting_jobs.append((self.clock.now() + job.delay, job))

    async def work(self, handler: JobHandler, places: int) -> None:
        raise NotImplementedError

    async def waiting(self) -> int:
        return len(self.waiting_jobs)

    def take(self) -> Job:
        """The one whose turn it is, or will be first."""
        now = self.clock.now()
        due = [one for one in self.waiting_jobs if one[0] <= now]
        taken = min(due, key=lambda one: one[1].rank) if due else min(self.waiting_jobs, key=lambda one: one[0])
        self.waiting_jobs.remove(taken)
        self.clock.moment = max(now, taken[0])
        return taken[1]

    async def run(self, handler: JobHandler, most: int = 1000) -> None:
        for _ in range(most):
            if not self.waiting_jobs:
                return
            job = self.take()
            self.done.append(job.subject)
            try:
                again = await handler(job)
            except (Exception, Killed) as failure:  # noqa: BLE001 - as every queue does
                self.failures.append(failure)
                again = Again(pause_before(len(self.failures)))
            if again is not None:
                await self.put_again(job, again)
        raise AssertionError("the work does not end")

    async def put_again(self, job: Job, again: Again) -> None:
        self.pauses.append(again.delay)
        later = self.clock.now() + again.delay
        for at, (due, other) in enumerate(self.waiting_jobs):
            if _alike(job, other):
                # Whoever put it meanwhile did not know that it has to wait.
                self.waiting_jobs[at] = max(due, later), other
        await self.put(replace(job, delay=again.delay, rank=job.rank if again.rank is None else again.rank))


class Killed(BaseException):
    """The process is gone: nothing of it runs any more."""


@dataclass
class Watched:
    """Transactions over `real`, in which something happens at one point: before a call or after it, before or after a
    commit. With `inside` the points within transactions count too. Only the database remembers anything, so what is
    between two of its calls is one point.
    """

    real: DatabaseTransactions
    at: int
    act: Callable[[], Awaitable[None]]
    inside: bool = False
    points: int = 0

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Any]:
        await self.point()
        async with self.real.begin() as tx:
            yield _Watched(self, tx, self.point if self.inside else _nothing)
            if self.inside:
                await self.point()
        await self.point()

    @asynccontextmanager
    async def autocommit(self) -> AsyncIterator[Any]:
        async with self.real.autocommit() as tx:
            yield _Watched(self, tx, self.point)

    async def point(self) -> None:
        self.points += 1
        if self.points == self.at:
            await self.act()


class _Watched:
    def __init__(self, watched: Watched, real: Any, point: Callable[[], Awaitable[None]], depth: int = 0) -> None:
        self._watched, self._real, self._point, self._depth = watched, real, point, depth

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._real, name)
        if not self._depth:
            return _Watched(self._watched, real, self._point, 1)

        async def call(*given: Any, **named: Any) -> object:
            await self._point()
            answer = await real(*given, **named)
            await self._point()
            return answer

        return call


async def _nothing() -> None: ...


@asynccontextmanager
async def turns(look: Callable[[], object]) -> AsyncIterator[list[object]]:
    """What somebody else sees each time that the event loop lets them."""
    seen: list[object] = []

    async def watch() -> None:
        while True:
            seen.append(look())
            await asyncio.sleep(0)

    task = asyncio.create_task(watch())
    try:
        yield seen
    finally:
        task.cancel()


class Mortal(Watched):
    """Its process dies at that point: whatever it asks for afterwards, nobody hears."""

    def __init__(self, real: DatabaseTransactions, at: int) -> None:
        super().__init__(real, at, _nothing, inside=True)

    async def point(self) -> None:
        await super().point()
        if self.points >= self.at:
            raise Killed


def _alike(one: Job, other: Job) -> bool:
    return (one.kind, one.subject, one.generation) == (other.kind, other.subject, other.generation)


class KnowledgeDesk:
    """One process. `database` is what it sees of `transactions`; `process` makes another one on the same database."""

    def __init__(self, transactions: DatabaseTransactions, **given: Any) -> None:
        self.transactions = transactions
        self.database: Transactions = cast(Transactions, given.get("database", transactions))
        self.clock: SetClock = given.get("clock") or SetClock(START)
        self.storage: MemoryFiles = given.get("storage") or MemoryFiles()
        self.queue: MemoryQueue = given.get("queue") or MemoryQueue(clock=self.clock)
        self.parser: PlainParser = given.get("parser") or PlainParser()
        self.embedder: ScriptedEmbedder = given.get("embedder") or ScriptedEmbedder()
        self.embedders: ScriptedEmbedders = given.get("embedders") or ScriptedEmbedders([self.embedder])
        self.size: ChunkSize = given.get("size", SMALL)
        self.most_chunks: int = given.get("most_chunks", MOST_CHUNKS)
        self.slice_seconds: float = given.get("slice_seconds", 60.0)
        self.troubles: list[Exception] = []
        self.missing: list[StoredFile] = []
        self._build()

    def _build(self) -> None:
        database, embedders, clock = self.database, self.embedders, self.clock
        ask = AskForWork(self.queue, self.troubles.append)
        self.read = ReadDocument(database, self.storage, self.parser, ReaderPlaces(4), self.troubles.append, 0.0)
        self.steps = IngestionSteps(
            database, self.read, embedders, clock, self.size, self.most_chunks, self.missing.append
        )
        self.ingest = Ingest(database, self.steps, clock, self.slice_seconds, chance=lambda: 0.0)
        self.purge = Purge(database, self.slice_seconds)
        reindex = Reindex(database, embedders, self.slice_seconds)
        self.do = DoJob({JobKind.INGEST: self.ingest, JobKind.REINDEX: reindex, JobKind.PURGE: self.purge})
        self.create = CreateKnowledge(database, embedders, clock)
        self.delete = DeleteKnowledge(database, clock, ask)
        self.add = AddKnowledgeFile(database, self.storage, clock, ask)
        self.retry = RetryKnowledgeFile(database, clock, ask)
        self.delete_file = DeleteKnowledgeFile(database, clock, ask)
        self.keep = KeepKnowledge(database, self.queue, embedders, clock, self.troubles.append)

    def process(self, **given: Any) -> "KnowledgeDesk":
        shared = {"clock": self.clock, "storage": self.storage, "queue": self.queue, "size": self.size}
        return KnowledgeDesk(self.transactions, **(shared | given))

    async def base(self, owner: UserId, name: str = "Handbook") -> KnowledgeBase:
        return await self.create(owner, KnowledgeDraft(name))

    async def file(self, owner: UserId, base: KnowledgeBase, text: str, name: str = "notes.txt") -> KnowledgeFile:
        """Just put in: nothing is done yet but the job that was asked for."""
        return await self.add(owner, base.knowledge_id, await self.upload(owner, text, name))

    async def upload(self, owner: UserId, text: str, name: str = "notes.txt") -> str:
        return await stored(self.transactions, self.storage, owner, text.encode(), name)

    async def run(self, most: int = 1000) -> None:
        await self.queue.run(self.do, most)

    async def now(self, file: KnowledgeFile) -> KnowledgeFile:
        async with self.transactions.autocommit() as tx:
            return await tx.knowledge_files.get(file.knowledge_file_id, owner=file.user_id)

    async def chunks(self, file: KnowledgeFile) -> list[tuple[Any, ...]]:
        """What is stored of a file: ordinal, content, page, place, and what its vectors are, by model."""
        found = await _rows(self.transactions, _CHUNKS, file=file.knowledge_file_id)
        return [(*row[:-1], None if row[-1] is None else bytes(row[-1])) for row in found]

    async def counts(self) -> dict[str, int]:
        """Rows of every table."""
        tables = [*(table.name for table in metadata.sorted_tables), "chunk_terms"]
        asked = " UNION ALL ".join(f"SELECT '{table}', count(*) FROM {table}" for table in dict.fromkeys(tables))
        return dict(await _rows(self.transactions, asked))


_CHUNKS = """
    SELECT c.ordinal, c.content, c.page, c.begins, c.ends, c.headings, v.model, v.vector
    FROM chunks c LEFT JOIN chunk_vectors v ON v.chunk_id = c.chunk_id
    WHERE c.knowledge_file_id = :file ORDER BY c.ordinal, v.model
"""


async def _rows(transactions: DatabaseTransactions, statement: str, **values: str) -> list[Any]:
    def fetch() -> list[Any]:
        with transactions.database.reader.connect() as connection:
            return [tuple(row) for row in connection.execute(text(statement), values)]

    return await transactions.database.run(fetch)


def text_of(paragraphs: int, seed: str = "wind") -> str:
    """A document of at least so many chunks of SMALL size, no two alike."""
    return "\n\n".join(f"{seed} paragraph{n} turns the {n}th mill beside river{n} slowly." for n in range(paragraphs))
