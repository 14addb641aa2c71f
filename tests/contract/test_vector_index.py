"""What every vector index does: it finds the nearest of what is stored in the bases that were asked."""

import asyncio
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.database.vectors.pgvector_index import PgVectorIndex
from adapters.database.vectors.vectors_embedded import EmbeddedVectorIndex
from contract.vector_index_fixtures import KINDS, place, shelf
from domain.errors import Unavailable
from domain.ids import ChunkId, KnowledgeId
from domain.knowledge.embeddings import Vector
from vector_shelf import MODEL, Shelf, cosine, ids, vector

__all__ = ["place", "shelf"]

EAST, NORTH, UP = vector(1, 0, 0), vector(0, 1, 0), vector(0, 0, 1)
directions = st.tuples(*[st.integers(-2, 2)] * 3).filter(any).map(lambda one: vector(*one))


async def test_what_was_committed_is_found(shelf: Shelf) -> None:
    base = await shelf.base()
    assert not await shelf.search(EAST, base)
    first, second = await shelf.put(base, NORTH, EAST)
    assert ids(await shelf.search(EAST, base)) == [second, first]
    (third,) = await shelf.put(base, vector(5, 1, 0))
    assert ids(await shelf.search(EAST, base)) == [second, third, first]


async def test_scores_are_cosines(shelf: Shelf) -> None:
    base = await shelf.base()
    await shelf.put(base, EAST, NORTH, vector(-1, 0, 0), vector(1, 1, 0))
    scores = [hit.score for hit in await shelf.search(EAST, base)]
    assert scores == pytest.approx([1, 0.5**0.5, 0, -1], abs=1e-6)


async def test_only_the_bases_that_were_asked_are_searched(shelf: Shelf) -> None:
    mine, other, third = await shelf.base(), await shelf.base(), await shelf.base()
    (far,), (near,), (between,) = await shelf.put(mine, UP), await shelf.put(other, EAST), await shelf.put(third, NORTH)
    assert ids(await shelf.search(EAST, mine)) == [far]
    assert ids(await shelf.search(vector(3, 1, 2), mine, other, third)) == [near, far, between]
    assert ids(await shelf.search(EAST, KnowledgeId("none"))) == []
    assert ids(await shelf.search(EAST)) == []


async def test_a_base_that_is_asked_twice_is_searched_once(shelf: Shelf) -> None:
    base = await shelf.base()
    placed = await shelf.put(base, EAST, NORTH)
    assert ids(await shelf.search(EAST, base, base)) == placed


async def test_deleted_chunks_are_not_found(shelf: Shelf) -> None:
    base = await shelf.base()
    first, second, third = await shelf.put(base, EAST, EAST, EAST)
    assert ids(await shelf.search(EAST, base)) == [first, second, third]
    await shelf.remove(base, second)
    assert ids(await shelf.search(EAST, base)) == [first, third]
    (fourth,) = await shelf.put(base, EAST)
    await shelf.remove(base, first, third)
    assert ids(await shelf.search(EAST, base)) == [fourth]


async def test_vectors_of_another_model_are_not_compared(shelf: Shelf) -> None:
    base = await shelf.base()
    first, second = await shelf.put(base, EAST, NORTH)
    await shelf.add_model(base, "test/other", {first: NORTH})
    assert ids(await shelf.search(EAST, base)) == [first, second]
    assert ids(await shelf.search(NORTH, base, model="test/other")) == [first]
    await shelf.add_model(base, "test/other", {second: UP})
    assert ids(await shelf.search(UP, base, model="test/other")) == [second, first]
    assert not await shelf.search(EAST, base, model="test/none")


async def test_a_query_of_another_length_finds_nothing(shelf: Shelf) -> None:
    base = await shelf.base()
    await shelf.put(base, EAST)
    await shelf.put(base, vector(1, 0, 0, 0), model="test/four")
    for strange in (vector(1, 0), vector(1, 0, 0, 0), Vector(b""), Vector(bytes(4 * 5000))):
        assert not await shelf.search(strange, base)
    assert len(await shelf.search(vector(1, 0, 0, 0), base, model="test/four")) == 1


@pytest.mark.parametrize("broken", [float("nan"), float("inf"), float("-inf")])
async def test_a_query_that_is_no_number_finds_nothing(shelf: Shelf, broken: float) -> None:
    base = await shelf.base()
    await shelf.put(base, EAST)
    assert not await shelf.search(Vector(struct.pack("<3f", broken, 0, 0)), base)


async def test_the_limit_may_be_more_than_there_is_and_less(shelf: Shelf) -> None:
    base = await shelf.base()
    placed = await shelf.put(base, *[EAST] * 20)
    assert ids(await shelf.search(EAST, base, limit=1000)) == placed
    assert ids(await shelf.search(EAST, base, limit=7)) == placed[:7]
    assert not await shelf.search(EAST, base, limit=0)


@settings(max_examples=15)
@given(stored=st.lists(directions, max_size=30), query=directions, limit=st.integers(1, 12), cut=st.integers(0, 30))
async def test_the_nearest_are_found(shelf: Shelf, stored: list[Vector], query: Vector, limit: int, cut: int) -> None:
    """Of equal vectors the one of the lower id comes first, also when they lie in several bases."""
    base, other = await shelf.base(), await shelf.base()
    placed = [*await shelf.put(base, *stored[:cut]), *await shelf.put(other, *stored[cut:])]
    hits = await shelf.search(query, base, other, limit=limit)
    where = dict(zip(placed, stored, strict=True))
    best = sorted((cosine(one, query) for one in stored), reverse=True)[:limit]
    assert [hit.score for hit in hits] == pytest.approx(best, abs=1e-5)
    assert [hit.score for hit in hits] == pytest.approx([cosine(where[one], query) for one in ids(hits)], abs=1e-5)
    for alike in set(stored):
        found = [one for one in ids(hits) if where[one] == alike]
        assert found == [one for one in placed if where[one] == alike][: len(found)]


async def test_whoever_adds_finds_it_at_once_while_others_search(shelf: Shelf) -> None:
    base = await shelf.base()
    seen: list[ChunkId] = []

    async def write(number: int) -> None:
        for step in range(6):
            mine = vector(number + 1, step, 1)
            (chunk_id,) = await shelf.put(base, mine)
            seen.append(chunk_id)
            assert chunk_id in ids(await shelf.search(mine, base, limit=100))

    await asyncio.gather(*(write(number) for number in range(4)), *(shelf.search(EAST, base) for _ in range(20)))
    assert sorted(ids(await shelf.search(EAST, base, limit=100))) == sorted(seen)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_database_that_is_away_is_unavailable(kind: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    away = f"sqlite:///{tmp_path}/file/x.db" if "sqlite" in kind else "postgresql://nobody@127.0.0.1:1/none"
    index = EmbeddedVectorIndex(away) if kind.startswith("embedded") else PgVectorIndex(away)
    for ask in (index.check(), index.search(EAST, MODEL, [KnowledgeId("k")], 1)):
        with pytest.raises(Unavailable):
            await ask
    await index.aclose()


async def test_a_database_that_is_there_is_available(shelf: Shelf) -> None:
    await shelf.index.check()
