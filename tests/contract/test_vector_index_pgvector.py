"""What is special to pgvector: the table and its indexes are made where they may be, and HNSW finds nearly all."""

import asyncio
import random
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Engine, event

from adapters.database.vectors.pgvector_index import PgVectorIndex
from adapters.database.vectors.pgvector_table import ensure_pgvector, indexed_as
from contract.vector_index_fixtures import shelf_of
from domain.errors import Unavailable
from domain.knowledge.embeddings import EmbeddingModel, Vector
from servers.postgres import Postgres
from vector_shelf import MODEL, cosine, ids, vector


def database_of(url: str) -> str:
    return url.rpartition("/")[2]


def indexes(postgres: Postgres, url: str) -> list[str]:
    names = "SELECT indexname FROM pg_indexes WHERE tablename = 'chunk_embeddings' ORDER BY 1"
    return postgres.execute(names, database_of(url)).split()


def scattered(count: int, dimensions: int) -> list[Vector]:
    made = random.Random(5)
    return [vector(*(made.gauss(0, 1) for _ in range(dimensions))) for _ in range(count)]


async def test_many_processes_may_make_the_table_at_once(postgres: Postgres, postgres_url: str) -> None:
    models = [EmbeddingModel("m", dimensions) for dimensions in (3, 3, 2000, 2001, 4000, 4001)]
    await asyncio.gather(*(ensure_pgvector(postgres_url, model) for model in [*models, None, None]))
    hnsw = [f"chunk_embeddings_hnsw_{dimensions}" for dimensions in (2000, 2001, 3, 4000)]
    assert indexes(postgres, postgres_url) == ["chunk_embeddings_by_base", *hnsw, "chunk_embeddings_pk"]


async def test_another_model_gets_its_index_later(postgres: Postgres, postgres_url: str) -> None:
    await ensure_pgvector(postgres_url, None)
    assert indexes(postgres, postgres_url) == ["chunk_embeddings_by_base", "chunk_embeddings_pk"]
    for _ in range(2):
        await ensure_pgvector(postgres_url, EmbeddingModel("m", 5))
    assert "chunk_embeddings_hnsw_5" in indexes(postgres, postgres_url)


async def refusal(url: str) -> str:
    with pytest.raises(Unavailable) as refused:
        await ensure_pgvector(url, EmbeddingModel("m", 3))
    assert refused.value.code == "pgvector_missing"
    return refused.value.message


async def test_without_the_extension_it_says_what_to_do(postgres: Postgres, postgres_url: str) -> None:
    postgres.execute(f"ALTER DATABASE {database_of(postgres_url)} SET extension_control_path = '/nowhere'")
    assert "install it" in await refusal(postgres_url)


async def test_a_role_that_may_not_make_it_is_told_who_may(postgres: Postgres, postgres_url: str) -> None:
    role = f"visitor_{database_of(postgres_url)}"
    postgres.execute(f"CREATE ROLE {role} LOGIN")
    assert "CREATE EXTENSION vector" in await refusal(postgres_url.replace("postgres@", f"{role}@"))
    postgres.execute(f"DROP ROLE {role}")


@pytest.mark.parametrize("version", ["0.7.4", "0.5.0"])
async def test_an_extension_that_is_too_old_is_refused(postgres: Postgres, postgres_url: str, version: str) -> None:
    await ensure_pgvector(postgres_url, None)
    postgres.execute(f"UPDATE pg_extension SET extversion = '{version}'", database_of(postgres_url))
    assert version in await refusal(postgres_url)


async def test_a_database_that_is_away_is_unavailable() -> None:
    with pytest.raises(Unavailable) as refused:
        await ensure_pgvector("postgresql://nobody@127.0.0.1:1/none", None)
    assert refused.value.code == "database_unavailable"


async def test_without_the_table_the_index_is_not_available(postgres_url: str) -> None:
    index = PgVectorIndex(postgres_url)
    with pytest.raises(Unavailable):
        await index.check()
    await index.aclose()


@contextmanager
def searches() -> Iterator[list[bool]]:
    """Whether each is in the order of the index; else it compares one vector after the other."""
    seen: list[bool] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if "AS score" in statement:
            seen.append("candidates" in statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", note)


async def test_hnsw_finds_nearly_all_with_and_without_a_filter(postgres: Postgres, postgres_url: str) -> None:
    """Where the filter cuts off half of what the index gives first, its scan goes on."""
    stored, queries = scattered(1500, 8)[:1480], scattered(1500, 8)[1480:]
    async with shelf_of("hnsw", postgres_url) as shelf:
        await ensure_pgvector(postgres_url, EmbeddingModel(MODEL, 8))
        base, other = await shelf.base(), await shelf.base()
        where = dict(zip(await shelf.put(base, *stored[:740]), stored[:740], strict=True))
        where_other = dict(zip(await shelf.put(other, *stored[740:]), stored[740:], strict=True))
        for bases, held in (([base], where), ([base, other], where | where_other)):
            met = 0
            for query in queries:
                true = sorted(held, key=lambda one: -cosine(held[one], query))[:10]
                with searches() as seen:
                    met += len({*true} & {*ids(await shelf.search(query, *bases))})
                assert seen == [True]
            assert met >= 0.95 * 10 * len(queries)
    scans = "SELECT sum(idx_scan) FROM pg_stat_user_indexes WHERE indexrelname = 'chunk_embeddings_hnsw_8'"
    assert int(postgres.execute(scans, database_of(postgres_url))) >= 2 * len(queries)


@pytest.mark.parametrize("dimensions", [2001, 4001])
async def test_long_vectors_are_found_too(postgres_url: str, dimensions: int) -> None:
    stored = scattered(230, dimensions)
    async with shelf_of("hnsw", postgres_url) as shelf:
        await ensure_pgvector(postgres_url, EmbeddingModel(MODEL, dimensions))
        base = await shelf.base()
        placed = await shelf.put(base, *stored)
        for chunk_id, query in list(zip(placed, stored, strict=True))[::50]:
            best = (await shelf.search(query, base))[0]
            assert (best.chunk_id, best.score) == (chunk_id, pytest.approx(1, abs=1e-5))


def test_what_can_be_indexed() -> None:
    asked = [1, 2000, 2001, 4000, 4001]
    assert [*map(indexed_as, asked)] == ["vector(1)", "vector(2000)", "halfvec(2001)", "halfvec(4000)", None]
