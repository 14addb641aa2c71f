"""Vectors in a database, put there row by row, for the tests of the indexes that search them."""

import itertools
import math
import struct
from collections.abc import Callable, Iterable, Sequence

from sqlalchemy import Integer, Table, delete, update
from sqlalchemy.engine import Connection

from adapters.database.engine import Database, open_database
from adapters.database.knowledge.chunk_tables import chunks
from adapters.database.knowledge.knowledge_tables import knowledge_bases, knowledge_files
from application.ports.knowledge import VectorIndex
from domain.ids import ChunkId, KnowledgeId, new_id
from domain.knowledge.embeddings import Vector
from domain.knowledge.retrieval import Hit
from stored import NOBODY, NOW

MODEL = "test/three"
_numbers = itertools.count(1)


def vector(*floats: float) -> Vector:
    """Of length 1."""
    length = math.sqrt(sum(one * one for one in floats)) or 1.0
    return Vector(struct.pack(f"<{len(floats)}f", *(one / length for one in floats)))


def floats(one: Vector) -> tuple[float, ...]:
    return struct.unpack(f"<{len(one) // 4}f", one)


def cosine(one: Vector, other: Vector) -> float:
    return math.fsum(a * b for a, b in zip(floats(one), floats(other), strict=True))


def ids(hits: Sequence[Hit]) -> list[ChunkId]:
    return [hit.chunk_id for hit in hits]


def add_base(connection: Connection, knowledge_id: KnowledgeId) -> None:
    """With one file, of the same id."""
    times = {"created_at": NOW, "updated_at": NOW}
    connection.execute(
        knowledge_bases.insert().values(knowledge_id=knowledge_id, name="k", description="", **times, grown=0, shrunk=0)
    )
    file = {"knowledge_file_id": knowledge_id, "knowledge_id": knowledge_id, "user_id": NOBODY, "file_id": "f"}
    state = {"name": "a.pdf", "kind": "pdf", "status": "process", "stage": "embed"}
    counters = {one.name: 0 for one in knowledge_files.c if not one.nullable and isinstance(one.type, Integer)}
    connection.execute(knowledge_files.insert().values(**counters, **file, **state, **times))


def add_chunks(connection: Connection, base: KnowledgeId, chunk_ids: Iterable[ChunkId]) -> None:
    place = {"knowledge_file_id": base, "knowledge_id": base}
    text = {"content": "text", "begins": 0, "ends": 4, "headings": ""}
    rows = [{"chunk_id": one, "ordinal": one, **place, **text} for one in chunk_ids]
    if rows:
        connection.execute(chunks.insert(), rows)


def add_vectors(
    connection: Connection, kept: Table, base: KnowledgeId, model: str, vectors: dict[ChunkId, Vector]
) -> None:
    rows = [{"chunk_id": one, "model": model, "knowledge_id": base, "vector": v} for one, v in vectors.items()]
    if rows:
        connection.execute(kept.insert(), rows)


def count_change(connection: Connection, base: KnowledgeId, *, grown: int = 0, shrunk: int = 0) -> None:
    bases = knowledge_bases.c
    changed = {"grown": bases.grown + grown, "shrunk": bases.shrunk + shrunk}
    connection.execute(update(knowledge_bases).where(bases.knowledge_id == base).values(**changed))


class Shelf:
    """Bases, chunks and vectors in the table `kept`. Close it with `aclose`."""

    def __init__(self, url: str, kept: Table, index: VectorIndex) -> None:
        self.url, self.kept, self.index = url, kept, index
        self.database: Database = open_database(url, pool_size=4)

    async def aclose(self) -> None:
        await self.database.aclose()

    async def base(self) -> KnowledgeId:
        knowledge_id = KnowledgeId(new_id())
        await self.write(lambda connection: add_base(connection, knowledge_id))
        return knowledge_id

    async def put(self, base: KnowledgeId, *vectors: Vector, model: str = MODEL) -> list[ChunkId]:
        """One transaction. The ids ascend."""
        chunk_ids = [ChunkId(next(_numbers)) for _ in vectors]
        await self.put_at(base, dict(zip(chunk_ids, vectors, strict=True)), model)
        return chunk_ids

    async def put_at(self, base: KnowledgeId, vectors: dict[ChunkId, Vector], model: str = MODEL) -> None:
        def write(connection: Connection) -> None:
            add_chunks(connection, base, vectors)
            add_vectors(connection, self.kept, base, model, vectors)
            count_change(connection, base, grown=len(vectors))

        await self.write(write)

    async def add_model(self, base: KnowledgeId, model: str, vectors: dict[ChunkId, Vector]) -> None:
        """Vectors of another model for chunks that are there."""

        def write(connection: Connection) -> None:
            add_vectors(connection, self.kept, base, model, vectors)
            count_change(connection, base, grown=len(vectors))

        await self.write(write)

    async def remove(self, base: KnowledgeId, *chunk_ids: ChunkId) -> None:
        def write(connection: Connection) -> None:
            connection.execute(delete(chunks).where(chunks.c.chunk_id.in_(chunk_ids)))
            count_change(connection, base, shrunk=len(chunk_ids))

        await self.write(write)

    async def search(self, query: Vector, *bases: KnowledgeId, limit: int = 10, model: str = MODEL) -> Sequence[Hit]:
        return await self.index.search(query, model, bases, limit)

    async def write(self, work: Callable[[Connection], None]) -> None:
        await self.database.run(self._begun, work)

    def _begun(self, work: Callable[[Connection], None]) -> None:
        with self.database.writer.begin() as connection:
            work(connection)
