"""FileStorage, the same for a folder and for a bucket: contents come back whole or not at all."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.minio.storage import PART
from contract.file_storage_fixtures import (
    HOUR,
    Source,
    Storage,
    around_now,
    file_id,
    is_missing,
    listed,
    local,
    opened,
    pattern,
    read,
    refusal,
    s3,
    write,
)
from domain.errors import NotFound, Unavailable
from domain.ids import FileId

MIB = 1024 * 1024
SIZES = [0, 1, 65_535, 65_536, 256 * 1024, MIB, MIB + 1, PART - 1, PART, PART + 1, 2 * PART, 2 * PART + 1]
HOSTILE = [
    "",
    ".",
    "../../etc/passwd",
    "01M83NW10357VW0KHR17GEVRZ",
    "01m83nw10357vw0khr17gevrz7",
    "01M83/NW10357VW0KHR17GEVRZ",
    "\x00" * 26,
]


@pytest.fixture(params=["local", "s3"])
async def storage(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Storage]:
    if request.param == "local":
        async with local(tmp_path / "files") as opened_storage:
            yield opened_storage
    else:
        async with opened(s3(request.getfixturevalue("seaweedfs"))) as opened_storage:
            yield opened_storage


@pytest.mark.parametrize("size", SIZES)
async def test_a_content_comes_back_as_it_was(storage: Storage, size: int) -> None:
    one = file_id()
    await write(storage, one, Source(size, step=100_003))
    assert await read(storage, one) == pattern(0, size)
    await storage.remove(one)


@pytest.mark.parametrize(
    "pieces", [[b""], [b"", b"a", b"", b"b"], [b"a" * (2 * PART + 5)], [bytes([one]) for one in range(256)]]
)
async def test_it_may_come_in_any_pieces(storage: Storage, pieces: list[bytes]) -> None:
    async def source() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    one = file_id()
    await storage.write(one, source())
    assert await read(storage, one) == b"".join(pieces)


async def test_100_megabytes_come_back_in_small_pieces(storage: Storage) -> None:
    one, source = file_id(), Source(100_000_000)
    await write(storage, one, source)
    sha256, size = hashlib.sha256(), 0
    async with aclosing(storage.read(one)) as pieces:
        async for piece in pieces:
            assert 0 < len(piece) <= MIB
            sha256.update(piece)
            size += len(piece)
    assert (size, sha256.digest()) == (100_000_000, source.sha256.digest())
    await storage.remove(one)


places = st.integers(0, 3 * MIB) | st.sampled_from([0, 1, MIB - 1, MIB, MIB + 1, 2 * MIB, 2_500_000, 2_500_001, 10**15])


@settings(max_examples=60)
@given(start=places, stop=places | st.none())
async def test_any_range_is_what_a_slice_is(range_of: tuple[Storage, FileId], start: int, stop: int | None) -> None:
    storage, one = range_of
    end = 2_500_000 if stop is None else min(stop, 2_500_000)
    assert await read(storage, one, start, stop) == pattern(start, end)


@pytest.fixture
async def range_of(storage: Storage) -> tuple[Storage, FileId]:
    one = file_id()
    await write(storage, one, Source(2_500_000))
    return storage, one


@pytest.mark.parametrize(("start", "stop"), [(0, None), (0, 0), (5, None), (5, 3), (0, 10)])
async def test_of_an_empty_content_every_range_is_empty(storage: Storage, start: int, stop: int | None) -> None:
    one = file_id()
    await write(storage, one, b"")
    assert await read(storage, one, start, stop) == b""


@pytest.mark.parametrize(("start", "stop"), [(0, None), (0, 0), (7, None), (7, 3), (0, 10)])
async def test_what_is_not_there_is_not_found_before_the_first_piece(
    storage: Storage, start: int, stop: int | None
) -> None:
    async with aclosing(storage.read(file_id(), start, stop)) as pieces:
        with pytest.raises(NotFound) as missing:
            await anext(pieces)
    assert missing.value.code == "file_not_found"


@pytest.mark.parametrize("hostile", HOSTILE)
async def test_what_is_no_id_touches_nothing(storage: Storage, hostile: str, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(NotFound):
        await read(storage, FileId(hostile))
    await storage.remove(FileId(hostile))
    with pytest.raises(ValueError, match="no file id"):
        await write(storage, FileId(hostile), b"x")
    assert [path for path in tmp_path.rglob("*") if path not in before and path.is_file()] == []


async def test_a_reader_may_go_at_any_time(range_of: tuple[Storage, FileId]) -> None:
    storage, one = range_of
    for _ in range(50):
        async with aclosing(storage.read(one)) as pieces:
            assert await anext(pieces)
    await storage.check()


@pytest.mark.parametrize("size", [0, 3, PART + 7])
async def test_writing_again_replaces_the_content(storage: Storage, size: int) -> None:
    one = file_id()
    await write(storage, one, Source(PART + 1))
    await write(storage, one, b"\xff" * size)
    assert await read(storage, one) == b"\xff" * size


@pytest.mark.parametrize("size", [0, 70_000, PART + 70_000, 3 * PART])
async def test_what_the_source_raises_comes_through_and_leaves_nothing(storage: Storage, size: int) -> None:
    one, trouble = file_id(), OSError("of the source")
    with pytest.raises(OSError, match="of the source") as raised:
        await write(storage, one, Source(size, then=trouble))
    assert raised.value is trouble
    assert await is_missing(storage, one)
    assert one not in await around_now(storage)


@pytest.mark.parametrize("size", [70_000, PART + 70_000])
async def test_a_second_write_that_fails_leaves_the_first(storage: Storage, size: int) -> None:
    one = file_id()
    await write(storage, one, b"first")
    with pytest.raises(KeyError):
        await write(storage, one, Source(size, then=KeyError()))
    assert await read(storage, one) == b"first"


async def test_a_write_that_is_cancelled_while_it_waits_for_its_source_leaves_nothing(storage: Storage) -> None:
    one, reached = file_id(), asyncio.Event()

    async def stalling() -> AsyncIterator[bytes]:
        yield pattern(0, PART + 10)
        yield b"more"
        reached.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(storage.write(one, stalling()))
    await reached.wait()
    assert one in await around_now(storage)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await is_missing(storage, one)
    assert one not in await around_now(storage)


@settings(max_examples=40)
@given(size=st.sampled_from([10, MIB, PART + MIB]), turns=st.integers(0, 400))
async def test_a_write_that_is_cancelled_at_any_moment_is_whole_or_leaves_nothing(
    storage: Storage, size: int, turns: int
) -> None:
    one = file_id()
    task = asyncio.create_task(write(storage, one, Source(size)))
    for _ in range(turns):
        await asyncio.sleep(0.0001 if turns % 2 else 0)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        assert await is_missing(storage, one)
        assert one not in await around_now(storage)
    else:
        assert await read(storage, one) == pattern(0, size)
        await storage.remove(one)


async def test_many_write_and_read_at_once(storage: Storage) -> None:
    made = {file_id(): PART // 5 * number + number for number in range(16)}
    await asyncio.gather(*(write(storage, one, Source(size)) for one, size in made.items()))
    found = await asyncio.gather(*(read(storage, one) for one in made))
    assert [content == pattern(0, size) for content, size in zip(found, made.values(), strict=True)] == [True] * 16
    await asyncio.gather(*(storage.remove(one) for one in made))
    assert all(await asyncio.gather(*(is_missing(storage, one) for one in made)))


async def test_two_writers_of_one_file_leave_one_of_both_contents(storage: Storage) -> None:
    one = file_id()
    contents = [bytes([number]) * (PART + 1) for number in range(4)]
    await asyncio.gather(*(write(storage, one, content) for content in contents))
    assert await read(storage, one) in contents


async def test_removing_is_final_and_may_be_repeated(storage: Storage) -> None:
    one, neighbour = file_id(datetime(2031, 5, 6, tzinfo=UTC)), file_id(datetime(2031, 5, 6, tzinfo=UTC))
    await write(storage, one, b"gone")
    await write(storage, neighbour, b"stays")
    for _ in range(3):
        await storage.remove(one)
    await asyncio.gather(*(storage.remove(one) for _ in range(5)))
    assert await is_missing(storage, one)
    assert await read(storage, neighbour) == b"stays"


async def test_a_reader_that_began_before_the_removal_ends_in_the_whole_or_in_an_error(storage: Storage) -> None:
    one = file_id()
    await write(storage, one, Source(5 * MIB))
    async with aclosing(storage.read(one)) as pieces:
        found = [await anext(pieces)]
        await storage.remove(one)
        try:
            found += [piece async for piece in pieces]
        except Unavailable:
            return
    assert b"".join(found) == pattern(0, 5 * MIB)


async def test_a_reader_never_sees_two_contents_in_one(storage: Storage) -> None:
    one = file_id()
    await write(storage, one, b"a" * 3 * MIB)
    async with aclosing(storage.read(one)) as pieces:
        found = [await anext(pieces)]
        await write(storage, one, b"b" * 3 * MIB)
        try:
            found += [piece async for piece in pieces]
        except Unavailable:
            return
    assert b"".join(found) == b"a" * 3 * MIB


moments = st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))
steps = st.lists(st.sampled_from([1, 2, 999, 1_000, 32_768, 1_048_576, 33_554_432, 90_000_000]), min_size=1, max_size=4)


@settings(max_examples=15)
@given(begin=moments, steps=steps)
async def test_a_window_shows_what_was_written_in_it(storage: Storage, begin: datetime, steps: list[int]) -> None:
    """Each border in turn is the end of one window and the beginning of the next: all are found, each once."""
    borders = [begin.replace(microsecond=0)]
    for step in steps:
        borders.append(borders[-1] + timedelta(milliseconds=step))
    made = [file_id(border) for border in borders[:-1]]
    for one in made:
        await write(storage, one, b"x")
    windows = [await listed(storage, first, end) for first, end in pairwise(borders)]
    assert [[one for one in window if one in made] for window in windows] == [[one] for one in made]
    assert await listed(storage, borders[-1], borders[0]) == []
    assert set(made) <= set(await listed(storage, borders[0], borders[-1]))
    for one in made:
        await storage.remove(one)
    assert not set(made) & set(await listed(storage, borders[0], borders[-1]))


async def test_a_listing_of_many_is_complete(storage: Storage) -> None:
    begin = datetime(2040, 2, 3, tzinfo=UTC)
    made = [file_id(begin + number * timedelta(seconds=7)) for number in range(1_100)]
    for at in range(0, len(made), 100):
        await asyncio.gather(*(write(storage, one, b"") for one in made[at : at + 100]))
    found = await listed(storage, begin, begin + 1_090 * timedelta(seconds=7))
    assert sorted(found) == sorted(made[:1_090])
    # While it is listed, what was found is removed, as the upkeep does.
    async with aclosing(storage.written_between(begin, begin + HOUR * 24)) as ids:
        async for one in ids:
            await storage.remove(one)
    assert await listed(storage, begin, begin + HOUR * 24) == []


async def test_an_unfinished_write_can_be_found_and_removed(storage: Storage) -> None:
    """Its writer, if it lives, is told; nothing of it can be read."""
    one, reached, gate = file_id(), asyncio.Event(), asyncio.Event()

    async def stalling() -> AsyncIterator[bytes]:
        yield pattern(0, PART + 10)
        reached.set()
        await gate.wait()
        yield pattern(0, PART)

    task = asyncio.create_task(storage.write(one, stalling()))
    await reached.wait()
    assert one in await around_now(storage)
    assert await is_missing(storage, one)
    await storage.remove(one)
    assert one not in await around_now(storage)
    gate.set()
    await refusal(task)
    assert await is_missing(storage, one)
    assert one not in await around_now(storage)
