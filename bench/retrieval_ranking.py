"""The documents of a language in a base, taken in and searched by the product's own use cases."""

import hashlib
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from math import inf
from pathlib import Path

from knowledge_stack import Stack
from retrieval_questions import Question

from application.files.document_reading import ReadDocument
from application.knowledge.ingestion import Ingest
from application.knowledge.ingestion_steps import IngestionSteps
from application.ports.embedder import Embedder
from application.knowledge.retrieval import RetrieveKnowledge
from domain.knowledge.chunking import ChunkSize
from domain.knowledge.embeddings import EmbeddingModel, Vector
from domain.knowledge.fusion import depth_for
from domain.ids import ChunkId, KnowledgeId
from domain.knowledge.retrieval import FoundChunk, Hit

DEPTH = depth_for(10)


class KeptVectors:
    """The local model, which makes each vector once: kept by what it was made of. Also the Embedders that open it.

    With `plain` the content alone is embedded, without file name and headings.
    """

    lacking = None

    def __init__(self, embedder: Embedder, database: sqlite3.Connection, *, plain: bool = False) -> None:
        self._embedder = embedder
        self._database = database
        self._plain = plain
        self.made = 0

    @property
    def model(self) -> EmbeddingModel:
        return self._embedder.model

    configured = model

    @property
    def batch(self) -> int:
        return self._embedder.batch

    @property
    def queries_at_once(self) -> int:
        return self._embedder.queries_at_once

    def open(self, name: str) -> "KeptVectors | None":
        return self if name == self.model.name else None

    async def query(self, text: str) -> Vector:
        if (found := self._found("query", text)) is None:
            found = self._keep("query", text, await self._embedder.query(text))
        return found

    async def passages(self, texts: Sequence[str]) -> Sequence[Vector]:
        wanted = [text.partition("\n\n")[2] if self._plain else text for text in texts]
        missing = [text for text in dict.fromkeys(wanted) if self._found("passage", text) is None]
        for text, vector in zip(missing, await self._embedder.passages(missing) if missing else (), strict=True):
            self._keep("passage", text, vector)
        return [self._found("passage", text) or Vector(b"") for text in wanted]

    def _key(self, kind: str, text: str) -> str:
        return hashlib.sha256(f"{self.model.name}\n{kind}\n{text}".encode()).hexdigest()

    def _found(self, kind: str, text: str) -> Vector | None:
        asked = "select vector from vectors where made_of = ?"
        row = self._database.execute(asked, (self._key(kind, text),)).fetchone()
        return None if row is None else Vector(bytes(row[0]))

    def _keep(self, kind: str, text: str, vector: Vector) -> Vector:
        self.made += 1
        with self._database:
            self._database.execute("insert or ignore into vectors values (?, ?)", (self._key(kind, text), vector))
        return vector


@contextmanager
def kept(path: Path) -> Iterator[sqlite3.Connection]:
    database = sqlite3.connect(path, timeout=60)
    database.execute("create table if not exists vectors (made_of text primary key, vector blob not null)")
    try:
        yield database
    finally:
        database.close()


@dataclass
class Corpus:
    """`texts` are the documents as they were read, by name; `chunks` those that were found so far."""

    stack: Stack
    retrieve: RetrieveKnowledge
    base: KnowledgeId
    texts: dict[str, str]
    count: int
    chunks: dict[ChunkId, FoundChunk] = field(default_factory=dict)

    @classmethod
    async def taken_in(
        cls, stack: Stack, vectors: KeptVectors, name: str, documents: Sequence[tuple[str, bytes]], size: ChunkSize
    ) -> "Corpus":
        steps = replace(await stack.container.get(IngestionSteps), embedders=vectors, size=size)
        ingest = Ingest(stack.transactions, steps, steps.clock, slice_seconds=inf)
        read = await stack.container.get(ReadDocument)
        base, texts, count = await stack.base(name), {}, 0
        for number, (document, content) in enumerate(documents, 1):
            file = await stack.ingest(base, document, content, ingest)
            async with stack.transactions.autocommit() as tx:
                [upload] = await tx.files.these([file.file_id], owner=stack.user)
            texts[document], count = (await read(upload)).text, count + file.chunks
            print(
                f"\r{number} of {len(documents)} files, {vectors.made} vectors made ",
                end="",
                file=sys.stderr,
                flush=True,
            )
        print(file=sys.stderr)
        retrieve = replace(await stack.container.get(RetrieveKnowledge), embedders=vectors, reranker=None)
        return cls(stack, retrieve, base, texts, count)

    async def ranked(self, question: str) -> tuple[Sequence[Hit], Sequence[Hit]]:
        """By meaning and by words."""
        bases = await self.retrieve.bases(self.stack.user, [self.base])
        [found] = await self.retrieve.rank(question, bases, DEPTH)
        if found.dense is None:
            raise SystemExit(f"No vectors were searched: {found.lacking}")
        new = {hit.chunk_id for hit in (*found.dense, *found.lexical)} - self.chunks.keys()
        async with self.stack.transactions.autocommit() as tx:
            shown = await tx.chunks.shown(sorted(new), owner=self.stack.user)
        self.chunks |= {chunk.chunk_id: chunk for chunk in shown}
        return found.dense, found.lexical

    def place(self, asked: Question, hits: Sequence[Hit]) -> int | None:
        """Where the first chunk stands that holds the answer, from 1."""
        expected = _plain(asked.text)
        for place, hit in enumerate(hits, 1):
            chunk = self.chunks[hit.chunk_id]
            if chunk.file_name == asked.file and expected in _plain(chunk.content):
                return place
        return None


def _plain(text: str) -> str:
    """Without white space, which lines of a document may have anywhere in Chinese, and without case."""
    return "".join(text.split()).casefold()
