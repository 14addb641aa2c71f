"""A bucket that can't be used: every call says so in plain words, soon, and nothing is half-stored."""

import asyncio
import logging
import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

import pytest

from adapters.minio import MinioFiles
from adapters.minio.storage import PART
from contract.file_storage_fixtures import (
    Source,
    around_now,
    file_id,
    hurried,
    is_missing,
    opened,
    pattern,
    read,
    refusal,
    s3,
    stored,
    write,
)
from domain.ids import FileId
from servers.seaweedfs import SECRET_KEY, SeaweedFS

MIB = 1024 * 1024
ONE = FileId("01M83NW10357VW0KHR17GEVRZ7")
SOON = 10.0
UNREACHABLE = "The file storage can't be reached: check storage.endpoint, and that it runs."
SILENT = "The file storage does not answer in time: try again soon."
NO_BUCKET = "The file storage has no such bucket: make it, or check storage.bucket."

CALLS: dict[str, Callable[[MinioFiles], Awaitable[object]]] = {
    "write": lambda storage: write(storage, file_id(), b"x"),
    "write parts": lambda storage: write(storage, file_id(), Source(PART + 1)),
    "read": lambda storage: read(storage, ONE),
    "read nothing": lambda storage: read(storage, ONE, 0, 0),
    "remove": lambda storage: storage.remove(ONE),
    "list": around_now,
    "check": lambda storage: storage.check(),
}
calls = pytest.mark.parametrize("call", list(CALLS.values()), ids=list(CALLS))


@pytest.fixture
async def bucket(seaweedfs: SeaweedFS) -> AsyncIterator[MinioFiles]:
    storage = s3(seaweedfs)
    async with opened(storage):
        yield storage


@pytest.fixture
def nobody() -> Iterator[str]:
    """An endpoint that is taken, so that nobody else comes to listen there."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture
def frozen(seaweedfs: SeaweedFS) -> Iterator[SeaweedFS]:
    seaweedfs.freeze()
    yield seaweedfs
    seaweedfs.thaw()


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], list[str]]]:
    with caplog.at_level(logging.DEBUG, "agentchat.storage"):
        yield lambda: [one.getMessage() for one in caplog.records if one.name == "agentchat.storage"]


@calls
async def test_a_storage_that_is_down_is_said_to_be(
    nobody: str, call: Callable[[MinioFiles], Awaitable[object]], told: Callable[[], list[str]]
) -> None:
    async with opened(s3(nobody)) as storage:
        async with asyncio.timeout(SOON):
            assert await refusal(call(storage)) == UNREACHABLE
    assert told().count("storage_failed") == 1


async def test_links_need_no_storage(nobody: str) -> None:
    async with opened(s3(nobody)) as storage:
        link = await storage.link(stored(ONE), datetime.now(UTC) + timedelta(hours=1), "")
        assert storage.file_of(link) == ONE


async def test_a_storage_that_comes_back_is_used_again(bucket: MinioFiles, seaweedfs: SeaweedFS) -> None:
    one = file_id()
    await write(bucket, one, b"before")
    seaweedfs.stop()
    await refusal(bucket.check())
    await refusal(read(bucket, one))
    seaweedfs.start()
    await bucket.check()
    assert await read(bucket, one) == b"before"
    await write(bucket, one, Source(PART + 1))
    assert await read(bucket, one) == pattern(0, PART + 1)


async def test_a_storage_that_is_restarted_between_two_calls_is_not_noticed(
    bucket: MinioFiles, seaweedfs: SeaweedFS
) -> None:
    """The connections that were kept are dead, and it is for nobody to know."""
    one = file_id()
    await asyncio.gather(*(write(bucket, file_id(), b"x") for _ in range(5)))
    seaweedfs.stop()
    seaweedfs.start()
    await asyncio.gather(*(write(bucket, file_id(), b"x") for _ in range(5)), write(bucket, one, Source(PART + 1)))
    assert await read(bucket, one) == pattern(0, PART + 1)


async def test_a_storage_that_stops_in_mid_upload_keeps_nothing_that_can_be_read(
    bucket: MinioFiles, seaweedfs: SeaweedFS
) -> None:
    one = file_id()

    async def source() -> AsyncIterator[bytes]:
        yield pattern(0, PART + 1)
        yield b"more"
        seaweedfs.stop()
        yield pattern(0, PART)

    try:
        async with asyncio.timeout(SOON):
            assert await refusal(bucket.write(one, source())) == UNREACHABLE
    finally:
        seaweedfs.start()
    assert await is_missing(bucket, one)
    assert one in await around_now(bucket)
    await bucket.remove(one)
    assert one not in await around_now(bucket)


async def test_a_storage_that_stops_in_mid_download_ends_the_reading_with_an_error(
    bucket: MinioFiles, seaweedfs: SeaweedFS
) -> None:
    one = file_id()
    await write(bucket, one, Source(5 * MIB))
    async with aclosing(bucket.read(one)) as pieces:
        assert await anext(pieces) == pattern(0, MIB)
        seaweedfs.stop()
        try:
            async with asyncio.timeout(SOON):
                assert await refusal(anext(pieces)) == UNREACHABLE
        finally:
            seaweedfs.start()
    assert await read(bucket, one) == pattern(0, 5 * MIB)


@calls
async def test_a_storage_that_hangs_hangs_nobody(
    frozen: SeaweedFS, call: Callable[[MinioFiles], Awaitable[object]], told: Callable[[], list[str]]
) -> None:
    async with opened(hurried(frozen)) as storage, asyncio.timeout(SOON):
        assert await refusal(call(storage)) == SILENT
    assert "storage_failed" in told()


async def test_a_storage_that_hangs_does_not_make_a_queue(frozen: SeaweedFS) -> None:
    """Hundreds of calls have few threads; each gives up in time all the same."""
    async with opened(hurried(frozen)) as storage, asyncio.timeout(SOON):
        said = await asyncio.gather(*(refusal(read(storage, ONE)) for _ in range(300)))
        assert set(said) == {SILENT}


async def test_a_write_into_a_hanging_storage_can_be_cancelled(seaweedfs: SeaweedFS) -> None:
    one, reached = file_id(), asyncio.Event()

    async def source() -> AsyncIterator[bytes]:
        yield pattern(0, PART + 1)
        seaweedfs.freeze()
        reached.set()
        yield pattern(0, 2 * PART)

    async with opened(s3(seaweedfs, read_timeout=1.0)) as storage:
        task = asyncio.create_task(storage.write(one, source()))
        try:
            await reached.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                async with asyncio.timeout(SOON):
                    await task
        finally:
            seaweedfs.thaw()
    await ended("s3")
    async with opened(s3(seaweedfs)) as storage:
        assert await is_missing(storage, one)
        await storage.remove(one)
        assert one not in await around_now(storage)


async def ended(threads: str) -> None:
    """Those of the closed storage: none hangs."""
    deadline = time.monotonic() + SOON
    while any(thread.name.startswith(threads) for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


@calls
@pytest.mark.parametrize("wrong", ["access_key", "secret_key"])
async def test_wrong_keys_are_named_but_not_shown(
    seaweedfs: SeaweedFS,
    call: Callable[[MinioFiles], Awaitable[object]],
    wrong: str,
    told: Callable[[], list[str]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with opened(s3(seaweedfs, **{wrong: "a-wrong-key"})) as storage:
        message = await refusal(call(storage))
    assert message.startswith("The file storage refuses the server")
    assert "storage.access_key and storage.secret_key" in message
    assert told().count("storage_failed") == 1
    assert SECRET_KEY not in caplog.text + message
    assert "a-wrong-key" not in caplog.text + message or wrong == "access_key"


@calls
async def test_a_missing_bucket_is_named(seaweedfs: SeaweedFS, call: Callable[[MinioFiles], Awaitable[object]]) -> None:
    async with opened(s3(seaweedfs, bucket="missing-bucket")) as storage:
        assert await refusal(call(storage)) == NO_BUCKET


@pytest.mark.parametrize("first", ["write", "check"])
async def test_a_bucket_is_made_once_and_for_us_alone(seaweedfs: SeaweedFS, first: str) -> None:
    """By whoever comes first, of several processes too."""
    import httpx

    name = f"made-by-{first}"
    ours = [s3(seaweedfs, bucket=name, create_bucket=True) for _ in range(3)]
    async with opened(ours[0]), opened(ours[1]), opened(ours[2]):
        await asyncio.gather(*(CALLS[first](storage) for storage in ours for _ in range(3)))
        one = file_id()
        await write(ours[0], one, b"x")
        assert await read(ours[1], one) == b"x"
    async with httpx.AsyncClient() as web:
        for path in (f"{name}/files/{one}", name, f"{name}?list-type=2"):
            assert (await web.get(f"http://{seaweedfs.endpoint}/{path}")).status_code == 403


@pytest.mark.parametrize("storage_is", ["new", "used"])
async def test_reading_from_a_bucket_that_is_still_to_be_made_finds_nothing(
    seaweedfs: SeaweedFS, storage_is: str
) -> None:
    async with opened(s3(seaweedfs, bucket=f"to-be-made-{storage_is}", create_bucket=True)) as storage:
        if storage_is == "used":
            await storage.check()
        assert await is_missing(storage, ONE)
        await storage.remove(ONE)
        assert await around_now(storage) == []
