"""Knowledge in memory, and the searches in it: ports of the retrieval, with their behaviour and without a database."""

import asyncio
import struct
from collections import Counter
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any, cast

from adapters.scripted import ScriptedEmbedder, ScriptedEmbedders
from adapters.scripted.embedder import vector_of
from application.knowledge.retrieval import RetrieveKnowledge
from application.paging import Window
from application.ports.persistence import Transactions
from application.ports.reranker import Reranker
from domain.errors import Unavailable
from domain.ids import ChunkId, KnowledgeFileId, KnowledgeId, UserId, new_id
from domain.knowledge.embeddings import Vector
from domain.knowledge.knowledge import KnowledgeBase, KnowledgeDraft
from domain.knowledge.lexical import terms
from domain.knowledge.retrieval import FoundChunk, Hit, NotAllSearched
from stored import NOW

MODEL = "scripted/words"


@dataclass
class KeptKnowledge:
    """`asked` names what was asked of the database and the indexes, in order. While `down`, all of it is away.

    While `lexical_gate` is there, a search by words waits for it.
    """

    embedder: ScriptedEmbedder = field(default_factory=ScriptedEmbedder)
    bases: dict[KnowledgeId, KnowledgeBase] = field(default_factory=dict)
    kept: dict[ChunkId, FoundChunk] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    troubles: list[Exception] = field(default_factory=list)
    searched_terms: list[Sequence[str]] = field(default_factory=list)
    too_large: set[KnowledgeId] = field(default_factory=set)
    """Bases for whose vectors there is no room."""
    removed: set[ChunkId] = field(default_factory=set)
    """Chunks of removed files: they are found, and not shown."""
    down: bool = False
    lexical_gate: asyncio.Event | None = None

    def __post_init__(self) -> None:
        self.embedders = ScriptedEmbedders([self.embedder])
        self.knowledge = self.chunks = self
        self.knowledge_files = _Files(self)

    def retrieval(self, reranker: Reranker | None = None, seconds: float = 10.0) -> RetrieveKnowledge:
        return RetrieveKnowledge(
            cast(Transactions, self),
            self.embedders,
            cast(Any, _Vectors(self)),
            cast(Any, _Words(self)),
            reranker,
            self.troubles.append,
            seconds,
            seconds,
        )

    def base(self, owner: UserId, model: str | None = MODEL, name: str = "Handbook") -> KnowledgeId:
        made = KnowledgeBase.create(KnowledgeId(new_id()), owner, KnowledgeDraft(name), model, NOW)
        self.bases[made.knowledge_id] = made
        return made.knowledge_id

    def file(self, base: KnowledgeId, *texts: str, name: str = "guide.pdf", gap: str = "\n\n") -> KnowledgeFileId:
        """A document of so many chunks, one a page, with so much between them."""
        file_id, at = KnowledgeFileId(new_id()), 0
        for page, text in enumerate(texts, 1):
            number, start, end = ChunkId(len(self.kept) + 1), at, at + len(text)
            self.kept[number] = FoundChunk(number, base, file_id, page - 1, name, text, page, start, end)
            at = end + len(gap)
        return file_id

    @asynccontextmanager
    async def autocommit(self) -> AsyncGenerator["KeptKnowledge", None]:
        yield self

    async def these(self, knowledge_ids: Sequence[KnowledgeId], *, owner: UserId) -> Sequence[KnowledgeBase]:
        self.note("bases")
        there = [self.bases[one] for one in set(knowledge_ids) if one in self.bases]
        return [replace(one) for one in there if one.user_id == owner]

    async def shown(self, chunk_ids: Sequence[ChunkId], *, owner: UserId) -> Sequence[FoundChunk]:
        self.note("chunks")
        there = [self.kept[one] for one in sorted(chunk_ids) if one in self.kept and one not in self.removed]
        return [one for one in there if self.bases[one.knowledge_id].user_id == owner]

    async def hidden(self, knowledge_ids: Sequence[KnowledgeId], limit: int) -> Collection[ChunkId]:
        self.note("hidden")
        return [one.chunk_id for one in self.of(knowledge_ids) if one.chunk_id in self.removed][:limit]

    def of(self, knowledge_ids: Sequence[KnowledgeId]) -> list[FoundChunk]:
        return [one for one in self.kept.values() if one.knowledge_id in knowledge_ids]

    def note(self, what: str) -> None:
        self.asked.append(what)
        if self.down:
            raise Unavailable("database_unavailable", "The database is away, as wanted.", retry_after=1)


@dataclass
class _Files:
    """All put in at one moment. `pages` are the numbers of those that were shown."""

    all: KeptKnowledge
    pages: list[int] = field(default_factory=list)

    async def list(self, knowledge_id: KnowledgeId, window: Window, *, owner: UserId) -> Sequence[Any]:
        self.all.note("files")
        before = None if window.after is None else window.after.identifier
        there = {one.knowledge_file_id: one.file_name for one in self.all.of([knowledge_id])}
        shown = [one for one in sorted(there, reverse=True) if before is None or one < before][: window.fetch]
        self.pages.append(len(shown))
        return [SimpleNamespace(knowledge_file_id=one, name=there[one], created_at=NOW) for one in shown]


@dataclass
class _Words:
    """A LexicalIndex that counts shared terms."""

    all: KeptKnowledge

    async def search(self, wanted: Sequence[str], knowledge_ids: Sequence[KnowledgeId], limit: int) -> Sequence[Hit]:
        self.all.note("words")
        self.all.searched_terms.append(wanted)
        if self.all.lexical_gate is not None:
            await self.all.lexical_gate.wait()
        counts = {one.chunk_id: Counter(terms(one.content)) for one in self.all.of(knowledge_ids)}
        hits = [Hit(number, sum(count[term] > 0 for term in wanted)) for number, count in counts.items()]
        return sorted((hit for hit in hits if hit.score), key=lambda hit: -hit.score)[:limit]


@dataclass
class _Vectors:
    """A VectorIndex that compares with everything."""

    all: KeptKnowledge

    async def search(
        self, vector: Vector, model: str, knowledge_ids: Sequence[KnowledgeId], limit: int
    ) -> Sequence[Hit]:
        self.all.note("vectors")
        fitting = [one for one in knowledge_ids if one not in self.all.too_large]
        hits = [
            Hit(one.chunk_id, _cosine(vector, vector_of(one.content, len(vector) // 4, model)))
            for one in self.all.of(fitting)
            if self.all.bases[one.knowledge_id].model == model
        ]
        best = sorted(hits, key=lambda hit: -hit.score)[:limit]
        if len(fitting) < len(knowledge_ids):
            raise NotAllSearched("Too large, as wanted.", best if fitting else None)
        return best


def _cosine(one: Vector, other: Vector) -> float:
    floats = f"<{len(one) // 4}f"
    return sum(a * b for a, b in zip(struct.unpack(floats, one), struct.unpack(floats, other), strict=True))
