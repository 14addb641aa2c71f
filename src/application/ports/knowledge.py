"""Knowledge bases, their files and chunks as the database knows them.

Calls with `owner` follow the rules of `persistence`. The others are for jobs, which work for everybody. Each call is
atomic alone. A base or file that was removed is found by nothing but `removed` and `remove_*`, which jobs use to take
away what is left of it, in portions.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from application.paging import Window
from domain.ids import ChunkId, KnowledgeFileId, KnowledgeId, UserId
from domain.knowledge.embeddings import Vector
from domain.knowledge.knowledge import KnowledgeBase, KnowledgeFile
from domain.knowledge.retrieval import FoundChunk, Hit


class KnowledgeBases(Protocol):
    async def add(self, base: KnowledgeBase) -> None:
        """Raises Conflict `knowledge_name_taken` when the owner has a base of that name, regardless of case."""
        ...

    async def get(self, knowledge_id: KnowledgeId, *, owner: UserId) -> KnowledgeBase:
        """Raises NotFound `knowledge_not_found`. In a transaction nobody else changes it until the end."""
        ...

    async def list(self, window: Window, *, owner: UserId) -> Sequence[KnowledgeBase]:
        """Newest first, with the number and size of their files, in one statement."""
        ...

    async def count(self, *, owner: UserId) -> int: ...

    async def these(self, knowledge_ids: Sequence[KnowledgeId], *, owner: UserId) -> Sequence[KnowledgeBase]:
        """Those that are there and the owner's, each once, in any order; without counting their files."""
        ...

    async def named(self, name_keys: Sequence[str], *, owner: UserId) -> Sequence[KnowledgeBase]:
        """Those whose name has one of these `search_key`, in any order; without counting their files."""
        ...

    async def save(self, base: KnowledgeBase) -> None:
        """Replace name, description and `updated_at`. Raises NotFound, Conflict `knowledge_name_taken`."""
        ...

    async def remove(self, knowledge_id: KnowledgeId, now: datetime, *, owner: UserId) -> None:
        """Nobody finds it any more, and no agent of the owner refers to it. Raises NotFound."""
        ...

    async def removed(self, limit: int) -> Sequence[KnowledgeId]:
        """Bases that were removed, or lost their owner, and are not forgotten yet."""
        ...

    async def forget(self, knowledge_id: KnowledgeId) -> bool:
        """Drop the row of a removed base, and those of its files; False while there are chunks of it."""
        ...

    async def of_other_models(self, model: str, limit: int, after: KnowledgeId | None = None) -> Sequence[KnowledgeId]:
        """Bases with another `model`, or none, and those that took chunks without a vector of theirs since the last
        `switch`; by their ids, those behind `after`."""
        ...

    async def model(self, knowledge_id: KnowledgeId) -> str | None:
        """By which it is searched; None also for a base that is gone."""
        ...

    async def switch(self, knowledge_id: KnowledgeId, model: str) -> bool:
        """Search the vectors of this model from now on; False, and nothing changed, while a chunk lacks its vector, or
        vectors are kept elsewhere."""
        ...

    async def vectors_elsewhere(self) -> bool:
        """Whether a process that started later keeps vectors in another place than this one does."""
        ...


class KnowledgeFiles(Protocol):
    async def add(self, file: KnowledgeFile) -> KnowledgeFile:
        """What the base has of that upload: this file, or the one that was put in before, unchanged.

        Raises NotFound when the base is gone, Conflict `knowledge_full` when it has MOST_FILES already."""
        ...

    async def get(self, knowledge_file_id: KnowledgeFileId, *, owner: UserId) -> KnowledgeFile:
        """Raises NotFound `knowledge_file_not_found`."""
        ...

    async def list(self, knowledge_id: KnowledgeId, window: Window, *, owner: UserId) -> Sequence[KnowledgeFile]:
        """Newest first. Raises NotFound when there is no such base."""
        ...

    async def remove(self, knowledge_file_id: KnowledgeFileId, now: datetime, *, owner: UserId) -> None:
        """Raises NotFound."""
        ...

    async def retry(self, knowledge_file_id: KnowledgeFileId, now: datetime, *, owner: UserId) -> KnowledgeFile:
        """Begin a file anew that has ended: PROCESS, QUEUED, nothing counted, no error, the next generation.

        Its chunks stay.

        Raises NotFound, Conflict `knowledge_file_at_work`.
        """
        ...

    async def unfinished(self, *, owner: UserId) -> int:
        """How many files of the owner are in PROCESS."""
        ...

    async def beside(self, file: KnowledgeFile) -> tuple[int, int]:
        """Of its owner's other files in PROCESS: how many are still QUEUED, and how many were put in before it."""
        ...

    async def at_work(self, knowledge_file_id: KnowledgeFileId) -> KnowledgeFile | None:
        """The file if it is in PROCESS, and it and its base are there. In a transaction nobody else changes it."""
        ...

    async def record(self, file: KnowledgeFile) -> bool:
        """Replace status, stage, total, plan, attempts, turn, `replanned`, error and `updated_at`. False, and nothing
        changed, when the file is no longer in PROCESS, is gone, is of another generation, or of a later turn."""
        ...

    async def waiting(self, untouched_since: datetime, limit: int) -> Sequence[KnowledgeFile]:
        """Files in PROCESS whose `updated_at` lies before that moment, the longest untouched first."""
        ...

    async def touch(self, knowledge_file_ids: Sequence[KnowledgeFileId], now: datetime) -> None: ...

    async def removed(self, limit: int) -> Sequence[KnowledgeFileId]:
        """Files that were removed, or whose base was, and of which chunks or the row are left."""
        ...

    async def forget(self, knowledge_file_id: KnowledgeFileId) -> bool:
        """Drop the row of a removed file; False while there are chunks of it."""
        ...


@dataclass(frozen=True, slots=True)
class NewChunk:
    """A chunk to be stored. `terms` are what it is found by lexically, `vector` is None without an embedding model."""

    ordinal: int
    content: str
    terms: Sequence[str]
    page: int | None
    start: int
    end: int
    headings: tuple[str, ...] = ()
    vector: Vector | None = None


@dataclass(frozen=True, slots=True)
class ChunkToEmbed:
    chunk_id: ChunkId
    content: str
    headings: tuple[str, ...]
    file_name: str


class Chunks(Protocol):
    async def add(self, file: KnowledgeFile, chunks: Sequence[NewChunk], model: str | None, now: datetime) -> bool:
        """Store some chunks with the vectors that `model` made; those whose ordinal is stored already stay as they are.

        The file's `chunks` is then the number that is stored, its `stage` and `updated_at` those given. False, and
        nothing stored, when the file is no longer in PROCESS, is gone, has another plan or is of another generation.
        """
        ...

    async def remove_of_file(self, knowledge_file_id: KnowledgeFileId, limit: int) -> int:
        """Remove some chunks of a file with all that belongs to them; how many. Its `chunks` follows."""
        ...

    async def remove_of_base(self, knowledge_id: KnowledgeId, limit: int) -> int: ...

    async def without_vector(
        self, knowledge_id: KnowledgeId, model: str, limit: int, after: ChunkId | None = None
    ) -> Sequence[ChunkToEmbed]:
        """By their ids, those behind `after`."""
        ...

    async def add_vectors(
        self, knowledge_id: KnowledgeId, model: str, vectors: Sequence[tuple[ChunkId, Vector]]
    ) -> None:
        """Chunks that are gone, and those that have a vector of the model, are passed over."""
        ...

    async def remove_vectors(self, knowledge_id: KnowledgeId, *, but: str, limit: int) -> int:
        """Remove some vectors of other models than this one; how many. None, unless the base is searched by it."""
        ...

    async def hidden(self, knowledge_ids: Sequence[KnowledgeId], limit: int) -> Collection[ChunkId]:
        """Chunks of these bases' removed files that are still there, and still found by the indexes."""
        ...

    async def shown(self, chunk_ids: Sequence[ChunkId], *, owner: UserId) -> Sequence[FoundChunk]:
        """Those that are there, of files and bases that are there and the owner's, in any order, in one statement."""
        ...


class LexicalIndex(Protocol):
    """Finds chunks by the terms that they share with a query. The event loop goes on meanwhile."""

    async def search(self, terms: Sequence[str], knowledge_ids: Sequence[KnowledgeId], limit: int) -> Sequence[Hit]:
        """Best first: rare terms count more, repetitions less and less. Empty when nothing is shared.

        Terms may be anything, `OR`, `*` and quotes too; they mean themselves.
        """
        ...


class VectorIndex(Protocol):
    """Finds chunks by their vectors. It sees whatever was committed before it is asked. The event loop goes on."""

    async def search(
        self, vector: Vector, model: str, knowledge_ids: Sequence[KnowledgeId], limit: int
    ) -> Sequence[Hit]:
        """Those whose vector of the model is nearest, best first; scores are cosines, -1 to 1.

        Raises NotAllSearched with what was found in the others, where the vectors of a base are too many.
        """
        ...

    async def check(self) -> None:
        """Raises Unavailable."""
        ...
