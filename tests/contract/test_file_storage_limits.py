"""What storages take, and what they leave when their process dies, the disk is full or the folder is closed to them."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from adapters.local_files import LocalFiles, disk
from adapters.minio.storage import PART, TRANSFERS
from contract.file_storage_fixtures import (
    SIGNER,
    Source,
    around_now,
    file_id,
    is_missing,
    local,
    opened,
    pattern,
    read,
    refusal,
    s3,
    write,
)
from domain.errors import Unavailable
from domain.ids import FileId
from patience import PATIENCE
from servers.seaweedfs import SeaweedFS

CHILD = Path(__file__).parent / "file_storage_child.py"
MEMORY_MB = 100


@pytest.fixture(params=["local", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """The kind of a storage, and where it is."""
    if request.param == "local":
        return "local", str(tmp_path / "files")
    server: SeaweedFS = request.getfixturevalue("seaweedfs")
    return "s3", server.endpoint


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Others may go there, which is not so in the folders of pytest."""
    with tempfile.TemporaryDirectory(prefix="agentchat-files-") as made:
        Path(made).chmod(0o755)
        yield Path(made) / "files"


def child(task: str, kind: str, where: str) -> list[str]:
    done = subprocess.run([sys.executable, CHILD, task, kind, where], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("task", ["memory", "reading"])
def test_memory_does_not_grow_with_the_files(place: tuple[str, str], task: str) -> None:
    """20 of 20 MiB at once."""
    assert int(child(task, *place)[0]) < MEMORY_MB


async def test_what_a_killed_process_left_is_found_and_removed(place: tuple[str, str], tmp_path: Path) -> None:
    kind, where = place
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    started = [sys.executable, str(CHILD), "dying", *place]
    surroundings = os.environ | {"TMPDIR": str(temporary)}
    with subprocess.Popen(started, stdout=subprocess.PIPE, text=True, env=surroundings) as dying:
        assert dying.stdout is not None
        one = FileId(dying.stdout.readline().strip())
        dying.send_signal(signal.SIGKILL)
    assert list(temporary.iterdir()) == []
    async with opened(LocalFiles(Path(where), SIGNER) if kind == "local" else s3(where)) as storage:
        assert await is_missing(storage, one)
        assert one in await around_now(storage)
        await storage.remove(one)
        assert one not in await around_now(storage)


async def test_slow_clients_hold_up_nobody_and_parts_in_transfer_are_few(seaweedfs: SeaweedFS) -> None:
    gate = asyncio.Event()
    reading = asyncio.Semaphore(0)

    async def slowly(number: int) -> AsyncIterator[bytes]:
        yield pattern(number, 70_000)
        reading.release()
        await gate.wait()
        yield b"end"

    async with opened(s3(seaweedfs)) as storage:
        slow = asyncio.gather(*(storage.write(file_id(), slowly(number)) for number in range(3 * TRANSFERS)))
        for _ in range(3 * TRANSFERS):
            await reading.acquire()
        quick = file_id()
        async with asyncio.timeout(PATIENCE):
            await write(storage, quick, Source(PART + 1))
        assert len(await read(storage, quick)) == PART + 1
        gate.set()
        await slow


async def test_a_source_is_read_no_faster_than_the_storage_takes_it(seaweedfs: SeaweedFS) -> None:
    source = Source(20 * PART)
    async with opened(s3(seaweedfs, read_timeout=0.3)) as storage:
        seaweedfs.freeze()
        try:
            await refusal(write(storage, file_id(), source))
        finally:
            seaweedfs.thaw()
    assert source.given <= PART + source.step


def test_a_full_disk_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    said = child("limited", "local", str(tmp_path / "files"))
    assert said == ["The file storage is full: make room on its disk.", "True"]


def test_a_full_disk_for_temporary_files_is_not_taken_for_an_absent_storage(seaweedfs: SeaweedFS) -> None:
    full = "The server's disk for temporary files is full: make room on it, or name another by TMPDIR."
    none = "The server can't keep temporary files: check the folder that TMPDIR names, and its disk."
    assert child("spilling", "s3", seaweedfs.endpoint) == [full, full, none]


async def test_a_disk_without_room_is_not_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(LocalFiles(tmp_path / "files", SIGNER)) as storage:
        await storage.check()
        least = disk.LEAST_ROOM
        monkeypatch.setattr(disk, "LEAST_ROOM", 1 << 60)
        with pytest.raises(Unavailable, match="full: make room"):
            await storage.check()
        monkeypatch.setattr(disk, "LEAST_ROOM", least)
        await storage.check()


def test_a_folder_that_is_closed_to_the_server_is_named_by_its_role(open_folder: Path) -> None:
    said = child("forbidden", "local", str(open_folder))
    assert len(said) == 4
    assert set(said) == {"The server may not use the folder of its file storage: mend the folder's owner and mode."}


async def test_a_folder_that_vanishes_is_an_outage_and_not_an_empty_storage(tmp_path: Path) -> None:
    root = tmp_path / "deep" / "files"
    one = file_id()
    async with local(root) as storage:
        await storage.check()
        await write(storage, one, b"here")
        root.rename(tmp_path / "elsewhere")
        for call in (write(storage, file_id(), b"x"), read(storage, one), around_now(storage), storage.remove(one)):
            message = await refusal(call)
            assert message == "The folder of the file storage is missing: mount or restore it."
            assert str(tmp_path) not in message
        await refusal(storage.check())
        (tmp_path / "elsewhere").rename(root)
        await storage.check()
        assert await read(storage, one) == b"here"


async def test_a_file_in_place_of_the_folder_is_an_outage(tmp_path: Path) -> None:
    (tmp_path / "files").write_bytes(b"")
    async with local(tmp_path / "files") as storage:
        await refusal(write(storage, file_id(), b"x"))
        await refusal(storage.check())


async def test_contents_are_for_the_eyes_of_the_server_alone(tmp_path: Path) -> None:
    async with local(tmp_path / "files") as storage:
        await write(storage, file_id(), b"x")
    found = sorted((tmp_path / "files").rglob("*"))
    assert {oct(path.stat().st_mode & 0o777) for path in found if path.is_file()} == {"0o600"}
    assert {oct(path.stat().st_mode & 0o777) for path in [*found, tmp_path / "files"] if path.is_dir()} == {"0o700"}


async def test_folders_stay_small_and_go_when_they_are_empty(tmp_path: Path) -> None:
    async with local(tmp_path / "files") as storage:
        made = [file_id(datetime(2030, 1, day, hour, tzinfo=UTC)) for day in (1, 2, 3) for hour in (1, 12, 23)]
        for one in made:
            await write(storage, one, b"x")
        assert max(len(list(path.iterdir())) for path in tmp_path.rglob("*") if path.is_dir()) < len(made)
        for one in made:
            await storage.remove(one)
        assert list((tmp_path / "files").iterdir()) == []


async def test_strangers_in_the_folder_are_left_alone(tmp_path: Path) -> None:
    one = file_id()
    async with local(tmp_path / "files") as storage:
        await write(storage, one, b"x")
        ours = next(path for path in (tmp_path / "files").rglob("*") if path.is_file())
        strangers = [ours.with_name(f"{one}.txt"), ours.with_name("notes.part"), tmp_path / "files" / "README"]
        strangers.append(ours.with_name(f"{one.lower()}"))
        for path in strangers:
            path.write_bytes(b"theirs")
        (tmp_path / "files" / f"{one[:5]}.bak" / one[5]).mkdir(parents=True)
        (tmp_path / "files" / f"{one[:5]}.bak" / one[5] / file_id()).write_bytes(b"a backup")
        assert await around_now(storage) == [one]
        await storage.remove(one)
        assert await around_now(storage) == []
    assert [path.read_bytes() for path in strangers] == [b"theirs"] * len(strangers)


async def test_a_content_that_is_a_link_to_elsewhere_is_not_followed(tmp_path: Path) -> None:
    one = file_id()
    (tmp_path / "secret").write_bytes(b"secret")
    async with local(tmp_path / "files") as storage:
        await write(storage, one, b"x")
        path = next(path for path in (tmp_path / "files").rglob("*") if path.is_file())
        path.unlink()
        path.symlink_to(tmp_path / "secret")
        await refusal(read(storage, one))


async def test_a_stopped_storage_still_clears_what_it_began(tmp_path: Path) -> None:
    """The server stops: the threads are gone, then the writers are cancelled."""
    reached = asyncio.Event()

    async def stalling() -> AsyncIterator[bytes]:
        yield pattern(0, PART)
        yield b"more"
        reached.set()
        await asyncio.Event().wait()

    storage = LocalFiles(tmp_path / "files", SIGNER)
    task = asyncio.create_task(storage.write(file_id(), stalling()))
    await reached.wait()
    await storage.aclose()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
