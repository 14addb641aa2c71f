"""What `agentchat doctor` says of an S3 storage."""

import asyncio
from pathlib import Path

import pytest

from live.doctor_examined import examined, serving
from live.live_server import LiveServer, free_port
from live.s3_settings import s3
from servers.seaweedfs import SECRET_KEY, SeaweedFS


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


def test_a_storage_that_only_the_server_reaches_is_told(data_dir: Path, seaweedfs: SeaweedFS) -> None:
    async def scene() -> None:
        async with serving(data_dir, **s3(seaweedfs)) as server:
            done = await examined(server)
            kept, sent = done.named("storage"), done.named("upload")
            assert (kept["status"], sent["status"]) == ("ok", "ok"), (kept, sent)
        nowhere = f"127.0.0.1:{free_port()}"
        async with serving(data_dir, **s3(seaweedfs, STORAGE__PUBLIC_ENDPOINT=nowhere)) as server:
            upload = (await examined(server)).named("upload")
        assert (upload["status"], "public_endpoint" in upload["mend"]) == ("fail", True)
        assert SECRET_KEY not in str(done)

    asyncio.run(scene())


def test_a_bucket_that_is_not_there_and_a_wrong_key_are_told(data_dir: Path, seaweedfs: SeaweedFS) -> None:
    async def scene() -> None:
        data_dir.mkdir()
        for wrong, word in (({"STORAGE__BUCKET": "no-such"}, "storage.bucket"), ({"STORAGE__SECRET_KEY": "x"}, "key")):
            storage = (await examined(LiveServer(data_dir, s3(seaweedfs, **wrong)))).named("storage")
            assert (storage["status"], word in storage["message"] + storage["mend"]) == ("fail", True), storage

    asyncio.run(scene())
