"""Retrieval through the use case, and its raw parts: the embedding of the query, and the bare search of vectors."""

import re
import sqlite3
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median

import asyncpg
import numpy as np
from knowledge_stack import Stack
from knowledge_words import Words, unit_vectors

from adapters.database.vectors.pgvector_index import CANDIDATES, SETTINGS, SMALL
from adapters.database.vectors.pgvector_table import ensure_pgvector
from application.ports.knowledge import LexicalIndex, VectorIndex
from application.knowledge.retrieval import RetrieveKnowledge
from domain.knowledge.embeddings import Vector
from domain.knowledge.fusion import depth_for
from domain.ids import KnowledgeId
from domain.knowledge.lexical import index_terms

TARGET = 1.5
TOP_K = 5
DEPTH = depth_for(TOP_K)
BESIDE = 0.05
"""The share of each of the two other bases."""

RawSearch = Callable[[Vector], Awaitable[int]]
"""How many it found."""


async def retrieval(stack: Stack, chunks: int, queries: int, words: int) -> dict[str, str]:
    base, filled = await _filled(stack, chunks, words)
    retrieve, vectors = await stack.container.get(RetrieveKnowledge), await stack.container.get(VectorIndex)
    lexical, model = await stack.container.get(LexicalIndex), stack.embedder.model.name
    asked = Words(seed=11)
    began = time.perf_counter()
    await retrieve(stack.user, asked.question(0), [base], TOP_K)
    first = time.perf_counter() - began
    times: dict[str, list[float]] = {}

    async def timed(name: str, work: Awaitable[object]) -> object:
        began = time.perf_counter()
        result = await work
        times.setdefault(name, []).append(1000 * (time.perf_counter() - began))
        return result

    async with _raw(stack, base) as raw:

        async def parts(question: str) -> None:
            embedded = Vector(bytes(await timed("embedding", stack.embedder.query(question))))  # type: ignore[arg-type]
            assert await timed("raw search", raw(embedded)) == DEPTH

        for number in range(queries):
            question = asked.question(number)
            ours = timed("ours", retrieve(stack.user, question, [base], TOP_K))
            # Who comes second finds warm caches: that is each of them by turns.
            for who in (ours, parts(question)) if number % 2 else (parts(question), ours):
                await who
            vector = await stack.embedder.query(question)
            await timed("our vectors", vectors.search(vector, model, [base], DEPTH))
            await timed("our words", lexical.search(list(dict.fromkeys(index_terms(question))), [base], DEPTH))
    raw_times = [one + other for one, other in zip(times["embedding"], times["raw search"], strict=True)]
    ratio = median(times["ours"]) / median(raw_times)
    verdict = "met" if ratio <= TARGET else "**missed**"
    return {
        f"retrieval in {chunks:,} chunks against embedding the query + bare search, ≤ {TARGET}": f"{ratio:.2f} ({verdict})",
        "… ours, ms: median, slowest tenth": f"{median(times['ours']):.1f}, {np.quantile(times['ours'], 0.9):.1f}",
        "… embedding + bare search, ms": f"{median(raw_times):.1f}, {np.quantile(raw_times, 0.9):.1f}",
        "… of these the embedding, the bare search of vectors": _two(times, "embedding", "raw search"),
        "… our search of vectors alone, of words alone, ms": _two(times, "our vectors", "our words"),
        "… the first question after the start, s": f"{first:.2f}",
        "… (filling the bases took, s)": f"{filled:.0f}",
    }


def _two(times: dict[str, list[float]], one: str, other: str) -> str:
    return f"{median(times[one]):.1f}, {median(times[other]):.1f}"


async def _filled(stack: Stack, chunks: int, words: int) -> tuple[KnowledgeId, float]:
    """On Postgres the large indexes are made afterwards, in a fraction of the time."""
    began, url = time.perf_counter(), stack.settings.database_url.reveal()
    definition = ""
    if not stack.settings.embedded:
        connection = await asyncpg.connect(url)
        definition = await connection.fetchval("SELECT pg_get_indexdef('chunk_terms_held'::regclass)")
        await connection.execute("DROP INDEX chunk_terms_held; DROP INDEX chunk_embeddings_hnsw_384")
    vectors, text = unit_vectors(round(chunks * (1 + 2 * BESIDE)), stack.embedder.model.dimensions), Words()
    large = await stack.base("large")
    for name, some in (("small", vectors[: len(vectors) - chunks]), ("large", vectors[-chunks:])):
        half = len(some) // 2
        for base, rows in (
            ((large, some),)
            if name == "large"
            else (
                (await stack.base("first"), some[:half]),
                (await stack.base("second"), some[half:]),
            )
        ):
            await stack.fill(base, rows, text, words)
    if not stack.settings.embedded:
        await connection.execute(definition, timeout=600)
        await ensure_pgvector(url, stack.embedder.model)
        await connection.execute("VACUUM ANALYZE", timeout=600)
        await connection.close()
    print(f"filled in {time.perf_counter() - began:.0f} s", file=sys.stderr)
    return large, time.perf_counter() - began


@asynccontextmanager
async def _raw(stack: Stack, base: KnowledgeId) -> AsyncIterator[RawSearch]:
    if stack.settings.embedded:
        yield _in_memory(Path(stack.settings.data_dir), base, stack)
        return
    address = stack.settings.database_url.reveal()
    connection = await asyncpg.connect(address, server_settings={"jit": "off", **SETTINGS})
    count = await connection.fetchval("SELECT count(*) FROM chunk_embeddings WHERE knowledge_id = $1", base)
    cast, limit = ("::vector(384)", max(CANDIDATES, DEPTH)) if count > SMALL else ("", DEPTH)
    nearest = await connection.prepare(
        f"SELECT chunk_id, vector <#> $1::real[]::vector FROM chunk_embeddings "
        f"WHERE model = $2 AND knowledge_id = ANY($3) AND vector_dims(vector) = 384 "
        f"ORDER BY vector{cast} <#> $1::real[]::vector{cast} LIMIT {limit}"
    )

    async def search(vector: Vector) -> int:
        query = np.frombuffer(vector, "<f4").tolist()
        rows = await nearest.fetch(query, stack.embedder.model.name, [base])
        return len(sorted(rows, key=lambda row: row[1])[:DEPTH])

    yield search
    await connection.close()


def _in_memory(folder: Path, base: KnowledgeId, stack: Stack) -> RawSearch:
    file = re.sub("^sqlite:/+", "/", stack.settings.database_url.reveal())
    with sqlite3.connect(file) as connection:
        rows = connection.execute("SELECT vector FROM chunk_vectors WHERE knowledge_id = ?", (base,))
        matrix = np.frombuffer(b"".join(row[0] for row in rows), "<f4").reshape(-1, stack.embedder.model.dimensions)

    async def search(vector: Vector) -> int:
        scores = matrix @ np.frombuffer(vector, "<f4")
        best = np.argpartition(scores, -DEPTH)[-DEPTH:]
        return len(best[np.argsort(-scores[best])])

    return search
