"""No base takes more memory than there is for all of them: what finds no room is searched by words, and says why."""

import asyncio
from collections.abc import Iterable
from contextvars import ContextVar

import pytest

from adapters.database.vectors import vectors_embedded, vectors_following, vectors_stored
from adapters.database.vectors.vectors_embedded import EmbeddedVectorIndex
from adapters.database.vectors.vectors_following import followed
from adapters.database.vectors.vectors_matrix import Matrix, Rows
from adapters.database.vectors.vectors_room import Loaded, Room
from adapters.database.vectors.vectors_stored import Key, StoredVectors
from contract.vector_index_fixtures import embedded, loads
from domain.knowledge.retrieval import NotAllSearched
from vector_shelf import MODEL, Shelf, ids, vector

__all__ = ["embedded"]

EAST, NORTH = vector(1, 0, 0), vector(0, 1, 0)


async def test_a_base_that_leaves_no_room_for_others_is_searched_nevertheless(embedded: Shelf) -> None:
    of_one = 50 * (3 * 4 + 8)
    index = EmbeddedVectorIndex(embedded.url, most_bytes=of_one)
    base, other = await embedded.base(), await embedded.base()
    placed = [*await embedded.put(base, *[EAST] * 50), *await embedded.put(other, *[EAST] * 50)]
    assert ids(await index.search(EAST, MODEL, [base, other], 100)) == placed
    assert index.size == of_one
    await index.aclose()


async def test_a_base_that_finds_no_room_is_not_read_and_others_are_searched(
    embedded: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (vectors_following, vectors_stored):
        monkeypatch.setattr(module, "PORTION", 10)
    index = EmbeddedVectorIndex(embedded.url, most_bytes=49 * (3 * 4 + 8))
    large, small = await embedded.base(), await embedded.base()
    await embedded.put(large, *[EAST] * 50)
    [placed] = await embedded.put(small, NORTH)
    with loads() as seen, pytest.raises(NotAllSearched, match="cache_bytes") as refused:
        await index.search(EAST, MODEL, [large], 100)
    assert (refused.value.hits, len(seen), index.size, index.loading) == (None, 0, 0, 0)
    for bases in ([large, small], [small, large]):
        with pytest.raises(NotAllSearched) as refused:
            await index.search(EAST, MODEL, bases, 100)
        assert ids(refused.value.hits or ()) == [placed]
    # Vectors of another model are none of these.
    assert await index.search(EAST, "test/other", [large], 100) == []
    await index.aclose()


async def test_what_is_being_read_takes_no_more_room_either_however_many_ask_at_once(
    embedded: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_one = 400 * (3 * 4 + 8)
    bases = [await embedded.base() for _ in range(6)]
    placed = [await embedded.put(base, *[EAST] * 400) for base in bases]
    for module in (vectors_following, vectors_stored):
        monkeypatch.setattr(module, "PORTION", 20)
    reading: dict[Key, int] = {}
    who: ContextVar[Key] = ContextVar("who")
    with_more, peaks = Matrix.with_more, [0]

    async def watched(stored: StoredVectors, key: Key, room: Room) -> Loaded | None:
        who.set(key)
        reading[key] = 0
        try:
            return await followed(stored, key, room)
        finally:
            del reading[key]

    def noted(matrix: Matrix, portions: Iterable[Rows]) -> Matrix:
        more = with_more(matrix, portions)
        reading[who.get()] = more.size
        peaks.append(index.size + sum(reading.values()))
        return more

    monkeypatch.setattr(vectors_embedded, "followed", watched)
    monkeypatch.setattr(Matrix, "with_more", noted)
    for times in (1, 2, 4):
        index = EmbeddedVectorIndex(embedded.url, most_bytes=times * of_one)
        found = await asyncio.gather(*(index.search(EAST, MODEL, [base], 400) for base in bases))
        assert [ids(hits) for hits in found] == placed
        assert max(peaks) <= times * of_one
        assert (index.size, index.reserved, index.loading) == (times * of_one, 0, 0)
        await index.aclose()


async def test_a_base_that_outgrows_the_room_leaves_it_and_comes_back_when_it_has_shrunk(embedded: Shelf) -> None:
    most = 50 * (3 * 4 + 8)
    index = EmbeddedVectorIndex(embedded.url, most_bytes=most)
    base = await embedded.base()
    placed = await embedded.put(base, *[EAST] * 50)
    assert ids(await index.search(EAST, MODEL, [base], 100)) == placed
    more = await embedded.put(base, NORTH)
    for _ in range(2):
        with pytest.raises(NotAllSearched):
            await index.search(EAST, MODEL, [base], 100)
        assert index.size == 0
    await embedded.remove(base, placed[0])
    assert ids(await index.search(EAST, MODEL, [base], 100)) == [*placed[1:], *more]
    assert index.size == most
    await index.aclose()


async def test_what_comes_while_a_base_is_read_finds_no_more_room_either(
    embedded: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was small enough when it was counted."""
    index = EmbeddedVectorIndex(embedded.url, most_bytes=50 * (3 * 4 + 8))
    monkeypatch.setattr(vectors_following, "PORTION", 10)
    monkeypatch.setattr(vectors_stored, "PORTION", 10)
    base, counted = await embedded.base(), StoredVectors.count
    await embedded.put(base, *[EAST] * 50)

    async def grown_meanwhile(stored: StoredVectors, key: Key, most: int | None = None) -> int:
        found = await counted(stored, key, most)
        await embedded.put(base, *[EAST] * 10)
        return found

    monkeypatch.setattr(StoredVectors, "count", grown_meanwhile)
    with pytest.raises(NotAllSearched):
        await index.search(EAST, MODEL, [base], 100)
    assert index.size == 0
    await index.aclose()
