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
from servers.pretended_s3 import Answer, PretendedS3, answer, xml
from servers.seaweedfs import BUCKET, SECRET_KEY, SeaweedFS

MIB = 1024 * 1024
ONE = FileId("01M83NW10357VW0KHR17GEVRZ7")
SOON = 10.0
UNREACHABLE = "The file storage can't be reached: check storage.endpoint, and that it runs."
SILENT = "The file storage does not answer in time: try again soon."
NO_BUCKET = "The file storage has no such bucket: make it, or check storage.bucket."
STRANGE = "What answers is no S3 storage: check storage.endpoint and storage.secure."
FAILS = "The file storage does not work: try again soon."

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


def hurried(endpoint: SeaweedFS | str, **options: object) -> MinioFiles:
    return s3(endpoint, **({"connect_timeout": 0.3, "read_timeout": 0.3, "check_timeout": 0.3} | options))


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


FOREIGN: dict[str, tuple[Answer, str]] = {
    "a web page": (lambda _m, _p: answer("200 OK", b"<html>hello", "content-type: text/html"), STRANGE),
    "no such page": (lambda _m, _p: answer("404 Not Found", b"<html>", "content-type: text/html"), STRANGE),
    "a proxy's error": (lambda _m, _p: answer("502 Bad Gateway", b"<html>", "content-type: text/html"), FAILS),
    "come again in an hour": (lambda _m, _p: answer("503 Busy", b"", "retry-after: 3600"), FAILS),
    "an error in words unknown": (lambda _m, _p: xml("500 No", "<Error><Code>Odd</Code></Error>"), FAILS),
    "no XML": (lambda _m, _p: xml("400 No", "<Error><Code>"), STRANGE),
    "no HTTP": (lambda _m, _p: b"SSH-2.0-OpenSSH_9.2\r\n", UNREACHABLE),
    "nothing": (lambda _m, _p: b"", UNREACHABLE),
    "elsewhere": (lambda _m, _p: answer("307 Go", b"", "location: http://127.0.0.1:9/x"), STRANGE),
}


@pytest.mark.parametrize("said", list(FOREIGN))
async def test_what_is_no_s3_storage_is_refused_and_not_followed(said: str) -> None:
    says, message = FOREIGN[said]
    async with PretendedS3(says) as server, opened(hurried(server.endpoint)) as storage, asyncio.timeout(SOON):
        assert await refusal(around_now(storage)) == message


async def test_tls_where_there_is_none_is_named(seaweedfs: SeaweedFS) -> None:
    async with opened(s3(seaweedfs, secure=True)) as storage, asyncio.timeout(SOON):
        assert await refusal(read(storage, ONE)) == STRANGE


PIECE = pattern(0, 100)
CUT = answer("206 Partial", PIECE[:50], "content-range: bytes 0-99/100", "etag: x", length=100)


@pytest.mark.parametrize("start", [0, 10])
async def test_a_piece_that_is_cut_is_an_error(start: int) -> None:
    def says(_method: str, _path: str) -> bytes:
        return CUT

    async with PretendedS3(says) as server, opened(hurried(server.endpoint)) as storage:
        await refusal(read(storage, ONE, start))


async def test_a_storage_without_ranges_never_gives_the_wrong_bytes() -> None:
    async with PretendedS3(lambda _m, _p: answer("200 OK", PIECE, "etag: x")) as server:
        async with opened(hurried(server.endpoint)) as storage:
            assert await read(storage, ONE) == PIECE
            await refusal(read(storage, ONE, 10))
            await refusal(read(storage, ONE, 0, 10))


async def test_connections_are_used_again() -> None:
    """Also those of readers that go away in the middle."""
    size = 40 * MIB

    def says(_method: str, _path: str) -> bytes:
        return answer("206 Partial", bytes(MIB), f"content-range: bytes 0-{MIB - 1}/{size}", "etag: x")

    async with PretendedS3(says) as server, opened(hurried(server.endpoint)) as storage:
        assert len(await read(storage, ONE)) == size
        for _ in range(10):
            async with aclosing(storage.read(ONE)) as pieces:
                await anext(pieces)
        assert len(server.requests) == 50
        assert server.connections == 1


async def test_an_upload_that_failed_in_its_last_answer_is_cleared_away() -> None:
    """S3 may say 200 first, and in the body that it failed."""

    def says(method: str, path: str) -> bytes:
        if path.endswith("?uploads="):
            return xml(
                "200 OK", "<InitiateMultipartUploadResult><UploadId>u1</UploadId></InitiateMultipartUploadResult>"
            )
        if method == "PUT":
            return answer("200 OK", b"", 'etag: "e"')
        if method == "DELETE":
            return answer("204 No Content")
        return xml("200 OK", "<Error><Code>InternalError</Code><Message>late</Message></Error>")

    async with PretendedS3(says) as server, opened(hurried(server.endpoint)) as storage:
        assert await refusal(write(storage, ONE, Source(PART + 1))) == FAILS
        assert [one for one in server.requests if one.startswith("DELETE")] == [
            f"DELETE /{BUCKET}/files/{ONE}?uploadId=u1",
            f"DELETE /{BUCKET}/files/{ONE}",
        ]


async def test_a_write_whose_answer_never_comes_is_taken_back() -> None:
    """It may have been stored."""

    def says(method: str, _path: str) -> bytes | None:
        return answer("204 No Content") if method == "DELETE" else None

    async with PretendedS3(says) as server, opened(hurried(server.endpoint)) as storage, asyncio.timeout(SOON):
        assert await refusal(write(storage, ONE, b"x")) == SILENT
        assert server.requests[-1] == f"DELETE /{BUCKET}/files/{ONE}"


async def test_a_storage_that_lists_no_unfinished_uploads_serves_all_the_same() -> None:
    def says(method: str, path: str) -> bytes:
        if "uploads=" in path:
            return xml("501 Not Implemented", "<Error><Code>NotImplemented</Code></Error>")
        if method == "DELETE":
            return answer("204 No Content")
        listing = f"<Contents><Key>files/{ONE}</Key></Contents><Contents><Key>files/strange</Key></Contents>"
        return xml("200 OK", f"<ListBucketResult><Name>{BUCKET}</Name>{listing}</ListBucketResult>")

    async with PretendedS3(says) as server, opened(hurried(server.endpoint)) as storage:
        await storage.remove(ONE)
        async with aclosing(
            storage.written_between(datetime(1980, 1, 1, tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
        ) as ids:
            assert [one async for one in ids] == [ONE]


@pytest.mark.parametrize("endpoint", ["", "ftp://host", "http://host/path", "host:port", "http://", "a@b", "a b"])
def test_an_endpoint_that_is_none_is_refused_at_the_start(endpoint: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        s3(endpoint)


def test_the_keys_are_in_no_representation(seaweedfs: SeaweedFS) -> None:
    storage = s3(seaweedfs)
    assert SECRET_KEY not in repr(storage) + repr(vars(storage))
