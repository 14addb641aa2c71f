"""Every vector index, over a fresh database."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest
from sqlalchemy import Engine, event

from adapters.database.knowledge.chunk_tables import chunk_vectors
from adapters.database.vectors.pgvector_index import PgVectorIndex
from adapters.database.vectors.pgvector_table import chunk_embeddings, ensure_pgvector
from adapters.database.vectors.vectors_embedded import EmbeddedVectorIndex
from domain.knowledge.embeddings import EmbeddingModel
from vector_shelf import Shelf

KINDS = ["embedded-sqlite", "embedded-postgres", "pgvector-postgres", "hnsw-postgres"]


@asynccontextmanager
async def shelf_of(kind: str, url: str) -> AsyncIterator[Shelf]:
    """`hnsw` is pgvector that takes every base for large."""
    embedded = kind.startswith("embedded")
    index = EmbeddedVectorIndex(url) if embedded else PgVectorIndex(url, small=0 if kind.startswith("hnsw") else 20_000)
    shelf = Shelf(url, chunk_vectors if embedded else chunk_embeddings, index)
    try:
        if not embedded:
            await ensure_pgvector(url, EmbeddingModel("test/three", 3))
        yield shelf
    finally:
        await index.aclose()
        await shelf.aclose()


@contextmanager
def loads() -> Iterator[list[tuple[object, ...]]]:
    """The readings of vectors, by whomever; their values."""
    seen: list[tuple[object, ...]] = []

    def note(_c: object, _cursor: object, statement: str, values: tuple[object, ...], *_rest: object) -> None:
        if "chunk_vectors.vector" in statement.partition("FROM")[0]:
            seen.append(tuple(values))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", note)


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest) -> tuple[str, str]:
    kind: str = request.param
    return kind, request.getfixturevalue(f"{kind.partition('-')[2]}_url")


@pytest.fixture
async def shelf(place: tuple[str, str]) -> AsyncIterator[Shelf]:
    async with shelf_of(*place) as made:
        yield made


@pytest.fixture
async def embedded(database_url: str) -> AsyncIterator[Shelf]:
    async with shelf_of("embedded", database_url) as made:
        yield made
