"""Bases, files and chunks for the persistence tests, and what is left of them in the tables."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import text

from adapters.database.transactions import DatabaseTransactions
from application.ports.knowledge import NewChunk
from domain.ids import KnowledgeFileId, KnowledgeId, UserId, new_id
from domain.knowledge.embeddings import Vector
from domain.knowledge.knowledge import KnowledgeBase, KnowledgeDraft, KnowledgeFile, Stage
from stored import NOW, stored_file

MODEL = "scripted/words"
PLAN = "pdf/1:1:300:40"
TABLES = ("knowledge_bases", "knowledge_files", "chunks", "chunk_vectors", "chunk_terms")


def knowledge(owner: UserId, name: str | None = None, **changes: Any) -> KnowledgeBase:
    identifier = KnowledgeId(new_id())
    draft = KnowledgeDraft(identifier if name is None else name, "About it.")
    return replace(KnowledgeBase.create(identifier, owner, draft, MODEL, NOW), **changes)


def knowledge_file(base: KnowledgeBase, **changes: Any) -> KnowledgeFile:
    file = stored_file(base.user_id)
    made = KnowledgeFile.create(KnowledgeFileId(new_id()), base.knowledge_id, file, NOW)
    return replace(made, **({"stage": Stage.EMBED, "plan": PLAN, "total": 10} | changes))


def vector(number: int = 0) -> Vector:
    return Vector(bytes([number % 256]) * 16)


def new_chunk(ordinal: int, *terms: str, **changes: Any) -> NewChunk:
    made = NewChunk(ordinal, f"chunk {ordinal}", terms, 1, 10 * ordinal, 10 * ordinal + 8, ("Title",), vector(ordinal))
    return replace(made, **changes)


async def with_base(transactions: DatabaseTransactions, owner: UserId, **changes: Any) -> KnowledgeBase:
    base = knowledge(owner, **changes)
    async with transactions.autocommit() as tx:
        await tx.knowledge.add(base)
    return base


async def with_file(transactions: DatabaseTransactions, base: KnowledgeBase, **changes: Any) -> KnowledgeFile:
    file = knowledge_file(base, **changes)
    async with transactions.autocommit() as tx:
        await tx.knowledge_files.add(file)
    return file


async def with_chunks(
    transactions: DatabaseTransactions, base: KnowledgeBase, texts: Sequence[Sequence[str]]
) -> KnowledgeFile:
    """A file in process with a chunk of each of these terms."""
    file = await with_file(transactions, base)
    async with transactions.autocommit() as tx:
        assert await tx.chunks.add(file, [new_chunk(at, *terms) for at, terms in enumerate(texts)], MODEL, NOW)
    return file


async def left(transactions: DatabaseTransactions) -> dict[str, int]:
    """How many rows there are, of each table that has any."""

    def count() -> dict[str, int]:
        with transactions.database.writer.connect() as connection:
            found = {one: connection.execute(text(f"SELECT count(*) FROM {one}")).scalar_one() for one in TABLES}
            return {one: int(number) for one, number in found.items() if number}

    return await transactions.database.run(count)


async def counters(transactions: DatabaseTransactions, base: KnowledgeBase) -> tuple[int, int]:
    """How often it has grown, and shrunk."""
    asking = text("SELECT grown, shrunk FROM knowledge_bases WHERE knowledge_id = :id")

    def look() -> tuple[int, int]:
        with transactions.database.writer.connect() as connection:
            row = connection.execute(asking, {"id": base.knowledge_id}).one()
            return row[0], row[1]

    return await transactions.database.run(look)
