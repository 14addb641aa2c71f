"""What the index in memory owes to keeping matrices: they follow the database, take little room, and hold up nobody."""

import asyncio

import pytest
from sqlalchemy.engine import Connection

from adapters.database.knowledge.chunk_tables import chunk_vectors
from adapters.database.vectors import vectors_following, vectors_stored
from adapters.database.vectors.vectors_embedded import EmbeddedVectorIndex
from contract.vector_index_fixtures import embedded, loads, shelf_of
from domain.ids import ChunkId, KnowledgeId
from domain.knowledge.embeddings import Vector
from servers.postgres import Postgres
from vector_shelf import MODEL, Shelf, add_chunks, add_vectors, count_change, ids, vector

__all__ = ["embedded"]

EAST, NORTH = vector(1, 0, 0), vector(0, 1, 0)


async def test_what_has_not_changed_is_not_read_again(embedded: Shelf) -> None:
    base = await embedded.base()
    (first,) = await embedded.put(base, EAST)
    with loads() as seen:
        for _ in range(3):
            assert ids(await embedded.search(EAST, base)) == [first]
    assert len(seen) == 1


async def test_of_what_has_grown_only_the_rest_is_read(embedded: Shelf) -> None:
    base = await embedded.base()
    placed = await embedded.put(base, EAST, EAST)
    await embedded.search(EAST, base)
    placed += await embedded.put(base, EAST)
    with loads() as seen:
        assert ids(await embedded.search(EAST, base)) == placed
    assert len(seen) == 1
    assert placed[1] in seen[0]


async def test_of_what_has_shrunk_nothing_is_read_again(embedded: Shelf) -> None:
    base = await embedded.base()
    placed = await embedded.put(base, *[EAST] * 9)
    await embedded.search(EAST, base)
    await embedded.remove(base, *placed[2:5], placed[8])
    left = [*placed[:2], *placed[5:8]]
    with loads() as seen:
        assert ids(await embedded.search(EAST, base)) == left
    assert [values for values in seen if values[2] < placed[8]] == []
    left += await embedded.put(base, EAST)
    with loads() as seen:
        assert ids(await embedded.search(EAST, base)) == left
    assert len(seen) == 1


async def test_more_than_one_portion_comes_and_goes(embedded: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (vectors_stored, vectors_following):
        monkeypatch.setattr(module, "PORTION", 3)
        monkeypatch.setattr(module, "IDS_PORTION", 4)
    monkeypatch.setattr(vectors_stored, "_NAMED", 2)
    base = await embedded.base()
    there: list[ChunkId] = []
    for size in (30, 3, 4, 1, 24):
        there += await embedded.put(base, *[EAST] * size)
        assert ids(await embedded.search(EAST, base, limit=99)) == there
        gone = there[1::3]
        await embedded.remove(base, *gone)
        there = [one for one in there if one not in gone]
        assert ids(await embedded.search(EAST, base, limit=99)) == there


async def test_a_small_base_is_answered_while_a_large_one_is_read(
    embedded: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (vectors_following, vectors_stored):
        monkeypatch.setattr(module, "PORTION", 100)
    large, small = await embedded.base(), await embedded.base()
    await embedded.put(large, *[vector(*range(1, 65))] * 6_000)
    placed = await embedded.put(small, EAST)
    slow = asyncio.ensure_future(embedded.search(vector(*range(1, 65)), large, limit=1))
    with loads() as seen:
        while not seen:
            await asyncio.sleep(0)
        assert ids(await embedded.search(EAST, small)) == placed
    assert not slow.done()
    assert len(await slow) == 1


async def test_many_who_ask_at_once_wait_for_one_reading(embedded: Shelf) -> None:
    base = await embedded.base()
    placed = await embedded.put(base, EAST, NORTH)
    with loads() as seen:
        answers = await asyncio.gather(*(embedded.search(EAST, base) for _ in range(20)))
    assert len(seen) == 1
    assert all(ids(hits) == placed for hits in answers)


async def test_who_stops_waiting_takes_nothing_from_the_others(embedded: Shelf) -> None:
    base = await embedded.base()
    placed = await embedded.put(base, EAST)
    asked = [asyncio.ensure_future(embedded.search(EAST, base)) for _ in range(3)]
    await asyncio.sleep(0)
    asked[0].cancel()
    results = await asyncio.gather(*asked, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    for hits in results[1:]:
        assert not isinstance(hits, BaseException)
        assert ids(hits) == placed


async def test_another_process_changes_what_is_kept_here(embedded: Shelf) -> None:
    """A second index, which shares nothing with the first, stands for it."""
    base = await embedded.base()
    first, second = await embedded.put(base, EAST, EAST)
    other = EmbeddedVectorIndex(embedded.url)
    assert ids(await other.search(EAST, MODEL, [base], 9)) == [first, second]
    await embedded.remove(base, first)
    (third,) = await embedded.put(base, EAST)
    for index in (other, embedded.index, other):
        assert ids(await index.search(EAST, MODEL, [base], 9)) == [second, third]
    await other.aclose()


async def test_the_matrices_take_no_more_room_than_they_may(embedded: Shelf) -> None:
    of_one = 100 * (3 * 4 + 8)
    index = EmbeddedVectorIndex(embedded.url, most_bytes=3 * of_one)
    bases = [await embedded.base() for _ in range(6)]
    placed = [await embedded.put(base, *[EAST] * 100) for base in bases]
    for number in [0, 1, 2, 3, 0, 4, 5, 2, 1]:
        assert ids(await index.search(EAST, MODEL, [bases[number]], 100)) == placed[number]
        assert index.size <= 3 * of_one
    assert len(await index.search(EAST, MODEL, bases, 1000)) == 600
    assert index.size == 3 * of_one
    with loads() as seen:
        await index.search(EAST, MODEL, bases[3:], 1)
    assert seen == []
    await index.aclose()


async def test_a_base_without_vectors_costs_one_reading(embedded: Shelf) -> None:
    base = await embedded.base()
    with loads() as seen:
        for _ in range(3):
            assert not await embedded.search(EAST, base)
    assert len(seen) == 1


async def test_broken_vectors_are_passed_over(embedded: Shelf) -> None:
    base = await embedded.base()
    broken = [Vector(b"\xff" * 12), Vector(b"abc"), Vector(b"")]
    placed = await embedded.put(base, broken[0], EAST, *broken[1:], EAST)
    sound = [placed[1], placed[4]]
    assert ids(await embedded.search(EAST, base)) == sound
    sound += await embedded.put(base, EAST)
    with loads() as seen:
        assert ids(await embedded.search(EAST, base)) == sound
    assert len(seen) == 1


async def test_the_event_loop_goes_on_while_much_is_read(embedded: Shelf) -> None:
    base = await embedded.base()
    row = vector(*range(1, 65))
    await embedded.put(base, *[row] * 5000)
    searching = asyncio.ensure_future(embedded.search(row, base, limit=1))
    turns = 0
    while not searching.done():
        await asyncio.sleep(0)
        turns += 1
    assert len(await searching) == 1
    assert turns > 20


async def test_ids_that_are_committed_late_are_found(postgres_url: str) -> None:
    """Of two writers the one with the smaller ids commits after the other."""
    async with shelf_of("embedded", postgres_url) as shelf:
        base = await shelf.base()
        (last,) = await shelf.put(base, EAST)
        early, late = ChunkId(last + 1_000_000), ChunkId(last + 1_000_001)
        run, writer = shelf.database.run, await shelf.database.run(shelf.database.writer.connect)
        await run(add_chunks, writer, base, [early])
        await run(add_vectors, writer, chunk_vectors, base, MODEL, {early: EAST})
        await shelf.put_at(base, {late: EAST})
        assert ids(await shelf.search(EAST, base)) == [last, late]
        await run(count_growth, writer, base)
        await run(writer.commit)
        await run(writer.close)
        assert ids(await shelf.search(EAST, base)) == [last, early, late]


def count_growth(connection: Connection, base: KnowledgeId) -> None:
    count_change(connection, base, grown=1)


async def test_a_restarted_server_is_taken_up_again(postgres: Postgres, postgres_url: str) -> None:
    async with shelf_of("embedded", postgres_url) as shelf:
        base = await shelf.base()
        placed = await shelf.put(base, EAST)
        assert ids(await shelf.search(EAST, base)) == placed
        other = await shelf.base()
        await asyncio.to_thread(postgres.stop, crash=True)
        await asyncio.to_thread(postgres.start)
        assert ids(await shelf.search(EAST, base)) == placed
        assert not await shelf.search(EAST, other)


async def test_closing_waits_for_what_is_being_read(embedded: Shelf) -> None:
    base = await embedded.base()
    await embedded.put(base, *[EAST] * 2000)
    index = EmbeddedVectorIndex(embedded.url)
    asked = asyncio.ensure_future(index.search(EAST, MODEL, [base], 1))
    while not index.loading:
        await asyncio.sleep(0)
    asked.cancel()
    await index.aclose()
    assert not index.loading
