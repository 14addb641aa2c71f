"""Uploads at a real server whose storage is S3: the same answers, and addresses that lead to the storage."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from live.live_server import LiveServer, Person
from live.test_live_upload import HEAD, MEBIBYTE, rss, upload, uploads, wire
from servers.seaweedfs import ACCESS_KEY, SECRET_KEY, SeaweedFS


def on(server: SeaweedFS, bucket: str) -> dict[str, object]:
    return {
        "STORAGE__KIND": "minio",
        "STORAGE__ENDPOINT": server.endpoint,
        "STORAGE__ACCESS_KEY": ACCESS_KEY,
        "STORAGE__SECRET_KEY": SECRET_KEY,
        "STORAGE__BUCKET": bucket,
        "STORAGE__SECURE": "false",
        "STORAGE__CREATE_BUCKET": "true",
    }


@pytest.fixture
def mortal() -> Iterator[SeaweedFS]:
    """A storage of the test's own, to be taken down."""
    server = SeaweedFS()
    try:
        yield server.start()
    finally:
        server.close()


async def status_of(person: Person, path: str) -> int:
    return (await person.client.get(path, headers=person.headers)).status_code


async def test_the_address_leads_to_the_storage_and_opens_there(tmp_path: Path, seaweedfs: SeaweedFS) -> None:
    async with uploads(tmp_path, **on(seaweedfs, "live-uploads")) as (server, person):
        url = await upload(person, 12)
        assert url.startswith(f"http://{seaweedfs.endpoint}/live-uploads/")
        async with httpx.AsyncClient() as anybody:
            found = await anybody.get(url)
            assert (found.status_code, len(found.content)) == (200, 12 * MEBIBYTE + 9)
            assert found.headers["content-type"] == "application/pdf"
            [file] = await person.get("/files")
            gone = await person.client.request(
                "DELETE", "/api/v1/files", json={"file_id": file["file_id"]}, headers=person.headers
            )
            assert gone.status_code == 200
            assert (await anybody.get(url)).status_code == 404
        assert not (server.data_dir / "files").exists()


async def test_many_uploads_at_once_take_little_memory_with_s3_too(tmp_path: Path, seaweedfs: SeaweedFS) -> None:
    async with uploads(tmp_path, **on(seaweedfs, "live-memory")) as (server, person):
        await upload(person, 1)
        before = rss(server)
        most, going = before, asyncio.gather(*(upload(person, 20) for _ in range(8)))
        while not going.done():
            most = max(most, rss(server))
            await asyncio.sleep(0.01)
        assert len(set(await going)) == 8
        assert most - before < 150, f"{before:.0f} MiB became {most:.0f}"


async def test_a_storage_that_is_down_is_503_and_chat_goes_on(tmp_path: Path, mortal: SeaweedFS) -> None:
    async with uploads(tmp_path, **on(mortal, "live-down"), DEFAULT_MODEL="offline", OFFLINE_DELAY_MS=0) as (
        server,
        person,
    ):
        await upload(person, 1)
        async with wire(server) as client:
            await client.begin(person, f"Content-Length: {40 * MEBIBYTE}")
            await client.send(HEAD + bytes(8 * MEBIBYTE))
            await asyncio.to_thread(mortal.stop)
            sending = asyncio.create_task(send_the_rest(client))
            status, _, body = await client.answer()
            sending.cancel()
        assert (status, code_in(body)) == (503, "storage_unavailable")
        assert len(await person.get("/files")) == 1
        assert await status_of(person, "/health/ready") == 503
        frames = await person.answer("hello")
        assert frames[-1].event == "done"
        assert frames[-1].data["status"] == "complete"
        await asyncio.to_thread(mortal.start)
        await until_ready(server)
        await upload(person, 1)
        assert len(await person.get("/files")) == 2


async def send_the_rest(client: Any) -> None:
    for _ in range(32):
        await client.send(bytes(MEBIBYTE))


def code_in(body: dict[str, Any]) -> str:
    code: str = body["error"]["code"]
    return code


async def until_ready(server: LiveServer) -> None:
    async with httpx.AsyncClient(base_url=server.url) as client, asyncio.timeout(30):
        while (await client.get("/health/ready")).status_code != 200:
            await asyncio.sleep(0.1)
