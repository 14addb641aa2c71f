"""Chunks whose vectors pgvector keeps: they are written, missed and taken away in its table, and in no other."""

import struct

from sqlalchemy import text

from adapters.database.transactions import DatabaseTransactions
from adapters.database.vectors.pgvector_table import ensure_pgvector
from domain.knowledge.embeddings import EmbeddingModel, Vector
from stored import NOW, registered
from stored_knowledge import MODEL, left, new_chunk, with_base, with_file

FLOATS = 4
NEW = "scripted/new"


def floats(number: int) -> Vector:
    return Vector(struct.pack(f"<{FLOATS}f", *(float(number == at) for at in range(FLOATS))))


async def embeddings(transactions: DatabaseTransactions) -> int:
    def count() -> int:
        with transactions.database.writer.connect() as connection:
            return int(connection.execute(text("SELECT count(*) FROM chunk_embeddings")).scalar_one())

    return await transactions.database.run(count)


async def test_vectors_of_chunks_live_and_go_in_the_table_of_pgvector(postgres_url: str) -> None:
    await ensure_pgvector(postgres_url, EmbeddingModel(MODEL, FLOATS))
    transactions = DatabaseTransactions.open(postgres_url, vectors="pgvector")
    owner = await registered(transactions)
    base = await with_base(transactions, owner)
    file = await with_file(transactions, base)
    async with transactions.autocommit() as tx:
        batch = [new_chunk(at, "a", vector=floats(at)) for at in range(3)]
        assert await tx.chunks.add(file, batch, MODEL, NOW)
        assert await tx.chunks.add(file, [new_chunk(3, "a", vector=None)], None, NOW)
        assert await embeddings(transactions) == 3
        assert "chunk_vectors" not in await left(transactions)
        [lacking] = await tx.chunks.without_vector(base.knowledge_id, MODEL, 9)
        assert not await tx.knowledge.switch(base.knowledge_id, MODEL)
        await tx.chunks.add_vectors(base.knowledge_id, MODEL, [(lacking.chunk_id, floats(3))])
        assert await tx.knowledge.switch(base.knowledge_id, MODEL)
        others = await tx.chunks.without_vector(base.knowledge_id, NEW, 9)
        await tx.chunks.add_vectors(base.knowledge_id, NEW, [(one.chunk_id, floats(0)) for one in others])
        assert await tx.knowledge.switch(base.knowledge_id, NEW)
        assert await embeddings(transactions) == 8
        assert [await tx.chunks.remove_vectors(base.knowledge_id, but=NEW, limit=3) for _ in range(3)] == [3, 1, 0]
        assert await tx.chunks.remove_of_file(file.knowledge_file_id, 9) == 4
    assert await embeddings(transactions) == 0
    await transactions.aclose()
