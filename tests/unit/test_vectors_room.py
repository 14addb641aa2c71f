"""Room in memory: never more than there is, in turn, and nobody waits for ever."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.database.vectors.vectors_matrix import Matrix, empty
from adapters.database.vectors.vectors_room import Loaded, NoRoom, Room
from adapters.database.vectors.vectors_stored import Key, Stamp
from domain.ids import KnowledgeId

MOST = 10
ROW = 12
"""Bytes of a vector of one number, with its id."""


def key(number: int) -> Key:
    return Key(KnowledgeId(f"base{number}"), "m", 1)


def loaded(rows: int) -> Loaded:
    portion = [(one + 1, b"\0\0\x80\x3f") for one in range(rows)]
    matrix: Matrix = empty(1).with_more([portion])
    assert matrix.size == rows * ROW
    return Loaded(Stamp(1, 0), matrix)


async def read(room: Room, number: int, rows: int, turns: int, end: str) -> None:
    """As the index does: room first, then the work, and then it is kept or not."""
    try:
        await room.reserve(key(number), rows * ROW)
        for _ in range(turns):
            await asyncio.sleep(0)
        if end == "kept":
            room.keep(key(number), loaded(rows))
        if end == "gone":
            room.keep(key(number), None)
    finally:
        room.give_up(key(number))


works = st.lists(
    st.tuples(st.integers(0, MOST + 1), st.integers(0, 4), st.sampled_from(["kept", "gone", "failed", "cancelled"])),
    min_size=1,
    max_size=14,
)


@settings(max_examples=60)
@given(works)
async def test_whoever_reads_and_whatever_becomes_of_it_there_is_never_too_much(
    works: list[tuple[int, int, str]],
) -> None:
    room = Room(MOST * ROW)
    tasks = [asyncio.ensure_future(read(room, n, *work)) for n, work in enumerate(works)]
    for turn in range(200):
        assert room.size + room.reserved <= room.most_bytes
        if turn == 2:
            for task, (*_, end) in zip(tasks, works, strict=True):
                if end == "cancelled":
                    task.cancel()
        await asyncio.sleep(0)
    # Nobody waits any more, and what found none is what alone is too large.
    assert all(task.done() for task in tasks)
    for task, (rows, _, end) in zip(tasks, works, strict=True):
        if end != "cancelled":
            assert isinstance(task.exception(), NoRoom) == (rows > MOST)
    assert room.reserved == 0
    await room.reserve(key(-1), MOST * ROW)
    assert (room.size, room.reserved) == (0, MOST * ROW)


async def test_what_is_kept_and_read_again_counts_once() -> None:
    room = Room(MOST * ROW)
    room.keep(key(1), loaded(6))
    room.keep(key(2), loaded(4))
    await room.reserve(key(1), 6 * ROW)
    assert (room.size, room.kept(key(2)) is not None) == (10 * ROW, True)
    room.keep(key(1), loaded(7))
    assert (room.size, room.kept(key(2))) == (7 * ROW, None)


async def test_what_was_used_last_stays_longest() -> None:
    room = Room(MOST * ROW)
    for number in (1, 2, 3):
        room.keep(key(number), loaded(3))
    room.note_use(key(1))
    await room.reserve(key(4), 4 * ROW)
    assert [number for number in (1, 2, 3) if room.kept(key(number))] == [1, 3]


async def test_a_large_one_is_not_passed_by_for_ever() -> None:
    room = Room(MOST * ROW)
    await room.reserve(key(1), 6 * ROW)
    large = asyncio.ensure_future(room.reserve(key(2), 10 * ROW))
    await asyncio.sleep(0)
    small = asyncio.ensure_future(room.reserve(key(3), 1 * ROW))
    await asyncio.sleep(0)
    assert (large.done(), small.done()) == (False, False)
    room.give_up(key(1))
    await large
    assert not small.done()
    room.give_up(key(2))
    await small


async def test_what_can_never_fit_does_not_wait() -> None:
    room = Room(MOST * ROW)
    await room.reserve(key(1), MOST * ROW)
    with pytest.raises(NoRoom):
        await room.reserve(key(2), MOST * ROW + 1)
