"""`agentchat worker` as a process: killed, stopped, refused."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncpg
import pytest

from adapters.jobs import PostgresJobs
from adapters.jobs.postgres import POLL_SECONDS
from job_desk import JobDesk, job
from live.live_server import SECRETS, LiveServer
from live.warm_start import WarmProcess, warm_starts
from patience import PATIENCE
from servers.postgres import Postgres

SCRIPT = Path(__file__).with_name("job_worker.py")


def environment(url: str, folder: Path, **settings: object) -> dict[str, str]:
    given = {"DATABASE_URL": url, "DATA_DIR": folder, "SECRET_KEYS": SECRETS, "VECTOR__KIND": "embedded", **settings}
    clean = {name: value for name, value in os.environ.items() if not name.endswith(("_API_KEY", "_BASE_URL"))}
    return clean | {f"AGENTCHAT_{name}": str(value) for name, value in given.items()}


@contextmanager
def worker(url: str, folder: Path, **settings: object) -> Iterator[WarmProcess]:
    given = environment(url, folder, **settings)
    process = warm_starts().run([], given, folder, folder / "worker.log", program=SCRIPT)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def notes(folder: Path) -> list[str]:
    file = folder / "notes"
    return file.read_text().splitlines() if file.exists() else []


async def until(met: Callable[[], bool], folder: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while not met():
        assert time.monotonic() < deadline, (notes(folder), (folder / "worker.log").read_text()[-3000:])
        await asyncio.sleep(0.02)


async def exit_code(process: WarmProcess) -> int:
    return await asyncio.to_thread(process.wait, PATIENCE)


@pytest.fixture
async def table(postgres_url: str) -> AsyncIterator[PostgresJobs]:
    table = PostgresJobs(lambda: asyncpg.connect(postgres_url))
    yield table
    await table.aclose()


async def test_the_job_of_a_killed_worker_is_taken_by_another_within_seconds(
    postgres_url: str, tmp_path: Path, table: PostgresJobs
) -> None:
    with worker(postgres_url, tmp_path) as killed, worker(postgres_url, tmp_path) as other:
        async with asyncio.timeout(PATIENCE):
            while (await table.backlog()).workers < 2:
                await asyncio.sleep(0.05)
        await table.put(job("long"))
        await until(lambda: len(notes(tmp_path)) == 1, tmp_path)
        first = notes(tmp_path)[0]
        if first.startswith(str(other.pid)):
            killed, other = other, killed
        killed.kill()
        # Sooner than where nobody waits for the end of the lease.
        async with asyncio.timeout(POLL_SECONDS - 5):
            await until(lambda: len(notes(tmp_path)) == 2, tmp_path)
        (tmp_path / "go").touch()
        await until(lambda: notes(tmp_path)[1:] == [f"{other.pid} begin long", f"{other.pid} end long"], tmp_path)
        assert await emptied(table)


async def emptied(table: PostgresJobs) -> bool:
    async with asyncio.timeout(PATIENCE):
        while await table.waiting():
            await asyncio.sleep(0.02)
    return True


async def test_a_worker_that_is_told_to_stop_ends_its_job_and_begins_no_other(
    postgres_url: str, tmp_path: Path, table: PostgresJobs
) -> None:
    with worker(postgres_url, tmp_path, INGESTION__PLACES=1) as process:
        await table.put(job("long"))
        await until(lambda: len(notes(tmp_path)) == 1, tmp_path)
        process.send_signal(signal.SIGTERM)
        await table.put(job("later"))
        await asyncio.sleep(0.3)
        assert process.poll() is None
        (tmp_path / "go").touch()
        assert await exit_code(process) == 0
    assert [line.split(" ", 1)[1] for line in notes(tmp_path)] == ["begin long", "end long"]
    assert await table.waiting() == 1


@pytest.mark.parametrize("signals", [1, 2])
async def test_a_worker_gives_back_what_does_not_end_in_its_grace_or_is_not_waited_for(
    postgres_url: str, tmp_path: Path, table: PostgresJobs, signals: int
) -> None:
    with worker(postgres_url, tmp_path, SHUTDOWN_GRACE_SECONDS=0.5 if signals == 1 else 60) as process:
        await table.put(job("long"))
        await until(lambda: len(notes(tmp_path)) == 1, tmp_path)
        for _ in range(signals):
            process.send_signal(signal.SIGTERM)
            await asyncio.sleep(0.1)
        assert await exit_code(process) == 0
    assert [one.job.subject for one in await table.take(5)] == ["long"]


def command(folder: Path, url: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """From nothing."""
    return subprocess.run(
        [sys.executable, "-m", "entrypoints.cli", *arguments],
        env=environment(url, folder),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )


def warm_command(folder: Path, url: str, *arguments: str) -> tuple[int, str]:
    """Its exit code, and what it said."""
    with TemporaryDirectory() as place:
        said = Path(place, "said")
        code = warm_starts().run(arguments, environment(url, folder), folder, said).wait(PATIENCE)
        return code, said.read_text()


def test_a_worker_refuses_sqlite_and_says_what_does_the_work(tmp_path: Path) -> None:
    refused = command(tmp_path, f"sqlite:///{tmp_path / 'agentchat.db'}", "worker")
    assert refused.returncode == 1
    assert "agentchat serve" in refused.stderr
    assert "Postgres" in refused.stderr
    assert not (tmp_path / "agentchat.db").exists()


def test_a_worker_says_the_command_where_the_schema_is_old(postgres: Postgres, tmp_path: Path) -> None:
    postgres.execute("CREATE DATABASE bare TEMPLATE template0")
    code, said = warm_command(tmp_path, postgres.url("bare"), "worker")
    assert code == 1
    assert "agentchat migrate" in said
    assert command(tmp_path, postgres.url("bare"), "migrate").returncode == 0
    assert warm_command(tmp_path, postgres.url("bare"), "migrate")[0] == 0
    assert postgres.execute("SELECT count(*) FROM agentchat_jobs.pgqueuer", "bare") == "0"
    postgres.execute("DROP DATABASE bare WITH (FORCE)")


def test_the_command_explains_itself(tmp_path: Path) -> None:
    shown = command(tmp_path, "", "worker", "--help")
    assert shown.returncode == 0
    assert "--places" in shown.stdout
    for wrong in ("0", "257", "x", "²"):
        assert command(tmp_path, "", "worker", "--places", wrong).returncode == 2


async def test_the_server_on_sqlite_does_the_jobs_that_an_earlier_one_left(sqlite_url: str, tmp_path: Path) -> None:
    desk = JobDesk(sqlite_url)
    table = desk.table()
    for subject in ("held", "waiting"):
        await table.put(job(subject))
    assert [one.job.subject for one in await table.take(1)] == ["held"]
    await desk.aclose()
    server = LiveServer(tmp_path, {"DATABASE_URL": sqlite_url})
    try:
        await server.start()
        # No row asks for these files any more, so that there is nothing to do but to say so.
        await until_none(lambda: count(sqlite_url))
        server.signal(signal.SIGTERM)
        assert await server.ended() == 0
    finally:
        server.kill()


@pytest.mark.parametrize("in_server", ["true", "false"])
async def test_a_server_on_postgres_does_jobs_only_where_it_is_asked_to(
    postgres_url: str, tmp_path: Path, table: PostgresJobs, in_server: str
) -> None:
    await table.put(job("gone"))
    settings = {"DATABASE_URL": postgres_url, "SECRET_KEYS": SECRETS, "VECTOR__KIND": "embedded"}
    server = LiveServer(tmp_path, {**settings, "INGESTION__IN_SERVER": in_server})
    try:
        await server.start()
        if in_server == "true":
            assert await emptied(table)
        server.signal(signal.SIGTERM)
        assert await server.ended() == 0
    finally:
        server.kill()
    assert await table.waiting() == int(in_server == "false")


def count(url: str) -> int:
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as sql:
        return int(sql.execute("SELECT count(*) FROM jobs").fetchone()[0])


async def until_none(counted: Callable[[], int]) -> None:
    async with asyncio.timeout(PATIENCE):
        while counted():
            await asyncio.sleep(0.05)
