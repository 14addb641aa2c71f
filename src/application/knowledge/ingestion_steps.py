"""One try at a file: read it, cut it, embed and store its chunks batch by batch, from the first that is not stored."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from math import inf
from typing import Final

from application.files.document_reading import ReadDocument
from application.knowledge.chunk_portions import portions
from application.knowledge.embedded_texts import TimedEmbedding
from application.ports.clock import Clock
from application.ports.embedder import Embedder, Embedders
from application.ports.job_queue import Again
from application.ports.knowledge import NewChunk
from application.ports.persistence import Transactions
from domain.errors import DomainError, InvalidValue, NotFound, Unavailable
from domain.files.documents import LOAD_DEPENDENT, ParsedDocument
from domain.files.files import StoredFile
from domain.knowledge.chunking import Chunk, ChunkSize, chunks
from domain.knowledge.embedding_text import VERSION, embedding_text, found_by
from domain.knowledge.embeddings import Vector
from domain.knowledge.knowledge import KnowledgeFile, Stage
from domain.knowledge.repetition import Repeated

STORED_AT_ONCE: Final = 64
"""Chunks for which no vector is to be made."""
MOST_CHUNKS: Final = 20_000
"""Of one file."""
REMOVED_AT_ONCE: Final = 30
PAUSE_SECONDS: Final = 0.01
"""Between portions, which SQLite removes without letting anybody else go on."""


OnMissing = Callable[[StoredFile], None]
"""Hears of an upload whose content this process does not find."""


LEFT_TO_OTHERS: Final = Again(timedelta(minutes=1))


class LeftToOthers(Unavailable):
    """What this process can't do, and another one may."""


class UnreadThisTime(Unavailable):
    """Reading depends on how much else goes on."""


class Overtaken(Exception):
    """The file was removed, ended, begun anew or gone on with by somebody else: what this try knows holds no more."""


@dataclass(slots=True)
class Try:
    """`file` is what was recorded last, `until` the time of the event loop at which others get their turn.

    `left_out` says what limits kept from being read, `ahead` are the first chunks with their vectors, when these were
    made before the chunks of an older plan were taken away.
    """

    file: KnowledgeFile
    seconds: float
    until: float = inf
    left_out: str | None = None
    repeated: Repeated = field(default_factory=Repeated)
    ahead: tuple[Sequence[Chunk], list[Vector | None]] | None = None

    def begin_slice(self) -> None:
        """After reading and cutting, which each slice repeats: else a long document would store little in each."""
        self.until = asyncio.get_running_loop().time() + self.seconds

    @property
    def time_is_up(self) -> bool:
        return asyncio.get_running_loop().time() >= self.until


@dataclass(frozen=True, slots=True)
class IngestionSteps:
    """Two may do this at once with one file: ordinals that are stored stay as they are, and the count is made sure of
    at the end. No transaction is open while anything reads, cuts or embeds."""

    transactions: Transactions
    read: ReadDocument
    embedders: Embedders
    clock: Clock
    size: ChunkSize = ChunkSize()
    most_chunks: int = MOST_CHUNKS
    on_missing: OnMissing = lambda _: None
    embedded: TimedEmbedding = field(default_factory=TimedEmbedding)

    async def __call__(self, work: Try) -> bool:
        """Whether the file is done; else the time is up. Raises Overtaken, and what reading and embedding raise."""
        # First of all: where the model is away, chunks that are found are not given up for others.
        embedder = await self._embedder(work.file)
        cut = await self._cut(work)
        if (work.file.plan, work.file.total) != (self.plan, len(cut)):
            await self._begin_anew(work, cut, embedder)
        work.begin_slice()
        if not await self._store(work, cut, embedder):
            return False
        await self._finish(work)
        return True

    @property
    def plan(self) -> str:
        """What chunks are a function of, beside the document."""
        return f"{self.read.parser.version}/{self.size.plan}/{VERSION}"

    async def _cut(self, work: Try) -> Sequence[Chunk]:
        document = await self._document(work.file)
        work.left_out = document.cut
        if work.file.plan != self.plan:
            await self._record(work, work.file.at(Stage.CHUNK, self.clock.now()))
        cut = await asyncio.to_thread(chunks, document, self.size)
        if not cut:
            raise InvalidValue("file_url", f"{work.file.name} has no text", code="file_no_text")
        if len(cut) > self.most_chunks:
            many = f"{work.file.name} makes {len(cut):,} chunks, and a file may have {self.most_chunks:,}: divide it"
            raise InvalidValue("file_url", many, code="file_too_many_chunks")
        return cut

    async def _begin_anew(self, work: Try, cut: Sequence[Chunk], embedder: Embedder | None) -> None:
        if embedder and work.file.chunks:
            # What is found stays where it is as long as the model refuses what would take its place.
            work.repeated = await asyncio.to_thread(Repeated.among, cut)
            batch = self._batch(work, cut, embedder)
            work.ahead = batch, await self._vectors(work, batch, embedder)
        planned = work.file.planned(self.plan, len(cut), self.clock.now())
        await emptied(self.transactions, work.file, planned)
        work.file = planned

    async def _document(self, file: KnowledgeFile) -> ParsedDocument:
        async with self.transactions.autocommit() as tx:
            found = await tx.files.these([file.file_id], owner=file.user_id)
        if not found:
            raise DomainError("file_not_found", f"The upload of {file.name} was deleted.")
        try:
            return await self.read(found[0])
        except NotFound as trouble:
            self.on_missing(found[0])
            missing = f"The content of {file.name} is not in this worker's storage: another worker may have it."
            raise Unavailable("file_content_missing", missing) from trouble
        except InvalidValue as refusal:
            if refusal.code not in LOAD_DEPENDENT:
                raise
            # Before that the same refusal would be given again, without another try.
            later = self.read.refused_seconds + 1
            raise UnreadThisTime(refusal.code, refusal.fields[0].message, retry_after=later) from refusal

    async def _store(self, work: Try, cut: Sequence[Chunk], embedder: Embedder | None) -> bool:
        if embedder and work.ahead is None:
            work.repeated = await asyncio.to_thread(Repeated.among, cut[work.file.chunks :])
        while work.file.chunks < len(cut):
            batch, vectors = work.ahead or (self._batch(work, cut[work.file.chunks :], embedder), None)
            work.ahead = None
            if embedder and vectors is None:
                vectors = await self._vectors(work, batch, embedder)
            await self._store_batch(work, batch, vectors, embedder)
            if work.file.chunks == len(cut):
                break
            if work.file.attempts:
                await self._record(work, work.file.advanced(self.clock.now()))
            if work.time_is_up:
                return False
        return True

    def _batch(self, work: Try, rest: Sequence[Chunk], embedder: Embedder | None) -> Sequence[Chunk]:
        most = self.embedded.batch(embedder) if embedder else STORED_AT_ONCE
        return work.repeated.batch(rest[: max(most, STORED_AT_ONCE)], most)

    async def _store_batch(
        self, work: Try, batch: Sequence[Chunk], vectors: list[Vector | None] | None, embedder: Embedder | None
    ) -> None:
        new = await asyncio.to_thread(_new_chunks, work.file.chunks, batch)
        if vectors is not None:
            new = [replace(chunk, vector=vector) for chunk, vector in zip(new, vectors, strict=True)]
        model = embedder.model.name if embedder else None
        for some in portions(new):
            now = self.clock.now()
            async with self.transactions.autocommit() as tx:
                if not await tx.chunks.add(work.file.at(Stage.EMBED, now), some, model, now):
                    raise Overtaken
            # What is stored is told at once: whoever goes on begins behind it.
            work.file = replace(work.file, stage=Stage.EMBED, chunks=some[-1].ordinal + 1)
            await asyncio.sleep(0)

    async def _vectors(self, work: Try, batch: Sequence[Chunk], embedder: Embedder) -> list[Vector | None]:
        """What stands in the file again and again is embedded once."""
        lacking = work.repeated.lacking(batch)
        texts = [embedding_text(work.file.name, chunk.headings, chunk.text) for chunk in lacking]
        return work.repeated.completed(batch, lacking, await self.embedded(embedder, texts) if texts else [])

    async def _embedder(self, file: KnowledgeFile) -> Embedder | None:
        model = self.embedders.configured
        if model is None:
            if not self.embedders.is_switched_off:
                await self._leave_to_others(file)
            return None
        embedder = self.embedders.open(model.name)
        if embedder is None:
            raise Unavailable("embedding_unavailable", f"The embedding model {model.name} can't be reached now.")
        return embedder

    async def _leave_to_others(self, file: KnowledgeFile) -> None:
        """A base that is searched by vectors got them from a process that can embed: it may do this file too."""
        async with self.transactions.autocommit() as tx:
            if await tx.knowledge.model(file.knowledge_id):
                raise LeftToOthers(
                    "embedding_lacking", f"This worker can't embed, another one may: {self.embedders.lacking}"
                )

    async def _finish(self, work: Try) -> None:
        """Success is recorded where the stored chunks were counted: somebody may have taken some away to begin anew."""
        now = self.clock.now()
        async with self.transactions.begin() as tx:
            # Recording first locks the row: who counts then counts what stays.
            held = await tx.knowledge_files.record(work.file)
            stored = await tx.knowledge_files.at_work(work.file.knowledge_file_id) if held else None
            if stored is None:
                raise Overtaken
            complete = stored.chunks == stored.total
            await tx.knowledge_files.record(
                stored.succeeded(now, work.left_out) if complete else stored.without_plan(now)
            )
        if not complete:
            raise Overtaken

    async def _record(self, work: Try, file: KnowledgeFile) -> None:
        async with self.transactions.autocommit() as tx:
            if not await tx.knowledge_files.record(file):
                raise Overtaken
        work.file = file


async def emptied(transactions: Transactions, file: KnowledgeFile, then: KnowledgeFile) -> None:
    """Take away the chunks of a file; `then` is recorded in the transaction that finds none. Raises Overtaken.

    A file without a plan gets no chunk, so none comes in between, whoever works on it. Where this breaks off, the
    next try goes on: the file is in PROCESS until the end.
    """
    file_id, left = file.knowledge_file_id, True
    async with transactions.begin() as tx:
        # Recording locks the row: who looks then sees what stays.
        held = await tx.knowledge_files.record(file.without_plan(then.updated_at))
        stored = await tx.knowledge_files.at_work(file_id) if held else None
        if stored is None:
            raise Overtaken
        if not stored.chunks:
            await tx.knowledge_files.record(then)
            return
    while left:
        async with transactions.begin() as tx:
            # The removal comes first: it locks the base, as storing does, and only then the file's row is touched.
            left = await tx.chunks.remove_of_file(file_id, REMOVED_AT_ONCE) > 0
            stored = await tx.knowledge_files.at_work(file_id)
            if stored is None or stored.plan is not None:
                raise Overtaken
            if not left and not await tx.knowledge_files.record(then):
                raise Overtaken
        if left:
            await asyncio.sleep(PAUSE_SECONDS)


def _new_chunks(start: int, batch: Sequence[Chunk]) -> list[NewChunk]:
    return [
        NewChunk(
            ordinal,
            chunk.text,
            found_by(chunk.headings, chunk.text),
            chunk.page,
            chunk.start,
            chunk.end,
            chunk.headings,
        )
        for ordinal, chunk in enumerate(batch, start)
    ]
