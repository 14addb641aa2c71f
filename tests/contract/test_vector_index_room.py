"""No base takes more memory than there is for all of them: what finds no room is searched by words, and says why."""

import pytest

from adapters.database import vectors_following, vectors_stored
from adapters.database.vectors_embedded import EmbeddedVectorIndex
from adapters.database.vectors_stored import Key, StoredVectors
from contract.vector_index_fixtures import embedded, loads
from domain.retrieval import NotAllSearched
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


async def test_a_base_that_finds_no_room_is_hardly_read_and_others_are_searched(
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
    assert (refused.value.hits, len(seen), index.size, index.loading) == (None, 1, 0, 0)
    for bases in ([large, small], [small, large]):
        with pytest.raises(NotAllSearched) as refused:
            await index.search(EAST, MODEL, bases, 100)
        assert ids(refused.value.hits or ()) == [placed]
    # Vectors of another model are none of these.
    assert await index.search(EAST, "test/other", [large], 100) == []
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
    base, counted = await embedded.base(), StoredVectors.has_more
    await embedded.put(base, *[EAST] * 50)

    async def grown_meanwhile(stored: StoredVectors, key: Key, most: int) -> bool:
        found = await counted(stored, key, most)
        await embedded.put(base, *[EAST] * 10)
        return found

    monkeypatch.setattr(StoredVectors, "has_more", grown_meanwhile)
    with pytest.raises(NotAllSearched):
        await index.search(EAST, MODEL, [base], 100)
    assert index.size == 0
    await index.aclose()
