"""A server that is no S3 storage, or a bad one: nothing is believed that it did not say, and nothing wrong is kept."""

import asyncio
from contextlib import aclosing
from datetime import UTC, datetime

import pytest

from adapters.minio.storage import PART
from contract.file_storage_fixtures import Source, around_now, hurried, opened, pattern, read, refusal, s3, write
from domain.ids import FileId
from servers.pretended_s3 import Answer, PretendedS3, answer, xml
from servers.seaweedfs import BUCKET, SECRET_KEY, SeaweedFS

MIB = 1024 * 1024
ONE = FileId("01M83NW10357VW0KHR17GEVRZ7")
SOON = 10.0
UNREACHABLE = "The file storage can't be reached: check storage.endpoint, and that it runs."
SILENT = "The file storage does not answer in time: try again soon."
STRANGE = "What answers is no S3 storage: check storage.endpoint and storage.secure."
FAILS = "The file storage does not work: try again soon."

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
