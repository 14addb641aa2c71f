"""`/metrics` of servers as operators start them: one process, and several on one socket."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest

from exposed import Exposed, exposed
from live.live_server import SECRETS, LiveServer, Person, begin_and_hang, free_port, hello, served, settings_for
from patience import PATIENCE
from servers.byte_server import ByteServer, Exchange


async def refuse(exchange: Exchange) -> None:
    await exchange.refuse(401, {"error": {"message": "Incorrect API key"}})


async def shown(url: str) -> Exposed:
    """By a connection of its own, which any worker may take. While all start anew, it waits for the first."""
    async with httpx.AsyncClient(base_url=url, timeout=PATIENCE) as client:
        return exposed(await client.get("/metrics"))


async def until(url: str, met: str, value: float, **labels: str) -> Exposed:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        seen = await shown(url)
        if seen.value(met, **labels) == value:
            return seen
        await asyncio.sleep(0.05)
    raise AssertionError(f"{met} {labels} is {seen.value(met, **labels)}, not {value}")


async def test_a_run_is_live_then_stopped_and_a_failure_has_its_code(tmp_path: Path) -> None:
    async with served(tmp_path, begin_and_hang, hello, refuse) as (live, person):
        url = live.server.url
        async with person.ask() as stream:
            frames = stream.frames()
            await anext(frames)
            assert (await shown(url)).value("agentchat_runs_live") == 1
            body = {"run_id": stream.response.headers["x-run-id"]}
            (await person.client.post("/api/v1/chat/stop", json=body, headers=person.headers)).raise_for_status()
        assert (await person.answer(dialog="e"))[-1].data["status"] == "complete"
        assert (await person.answer(dialog="f"))[-1].data["status"] == "failed"
        seen = await until(url, "agentchat_runs_live", 0)
        assert seen.value("agentchat_runs_ended_total", status="stopped") == 1
        assert seen.value("agentchat_runs_ended_total", status="complete") == 1
        assert seen.value("agentchat_runs_ended_total", status="failed", code="model_auth_failed") == 1
        assert seen.labels("agentchat_tokens_total", "model") == {"fake"}
        assert not seen.labels("agentchat_runs_live", "worker")


async def test_a_proxy_is_believed_only_when_it_is_trusted(tmp_path: Path) -> None:
    for trusted, local in (("[]", 404), ('["127.0.0.1"]', 200)):
        folder = tmp_path / str(local)
        folder.mkdir()
        server = LiveServer(folder, {"TRUSTED_PROXIES": trusted})
        try:
            await server.start()
            async with httpx.AsyncClient(base_url=server.url) as client:
                assert (await client.get("/metrics")).status_code == 200
                for forwarded, status in (("203.0.113.5", 404), ("127.0.0.1, 203.0.113.5", 404), ("::1", local)):
                    answer = await client.get("/metrics", headers={"X-Forwarded-For": forwarded})
                    assert answer.status_code == status
        finally:
            server.kill()


@asynccontextmanager
async def two_workers(folder: Path, database_url: str, **more: object) -> AsyncIterator[tuple[LiveServer, Person]]:
    port = free_port()
    given = settings_for(port, DATABASE_URL=database_url, SECRET_KEYS=SECRETS, WORKERS=2, **more)
    server = LiveServer(folder, given)
    try:
        await server.start()
        await until(server.url, "agentchat_worker_up", 2)
        async with ByteServer(*[hello] * 12, port=port), httpx.AsyncClient(base_url=server.url, timeout=30) as client:
            yield server, await Person.register(client)
    finally:
        server.kill()


async def fresh_answers(url: str, person: Person, count: int) -> None:
    """Each by a connection of its own, so that both workers get some."""
    for number in range(count):
        async with httpx.AsyncClient(base_url=url, timeout=30) as client:
            frames = await Person(client, person.headers).answer(dialog=f"d{number}")
            assert frames[-1].data["status"] == "complete"


async def test_any_of_two_workers_tells_the_numbers_of_both(tmp_path: Path, postgres_url: str) -> None:
    async with two_workers(tmp_path, postgres_url) as (server, person):
        await fresh_answers(server.url, person, 10)
        seen = await until(server.url, "agentchat_runs_ended_total", 10, status="complete")
        for _ in range(12):
            later = await shown(server.url)
            assert later.grew_from(seen)
            assert later.value("agentchat_runs_ended_total", status="complete") == 10
            assert later.labels("process_resident_memory_bytes", "worker") == {"0", "1"}
            seen = later
        assert seen.value("agentchat_http_requests_total", route="/api/v1/chat") == 10


def children(process: int) -> set[int]:
    return {int(one) for one in Path(f"/proc/{process}/task/{process}/children").read_text().split()}


async def test_a_dead_worker_is_missed_and_the_folder_goes_with_the_server(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with TemporaryDirectory(dir="/tmp") as temporary:
        monkeypatch.setenv("TMPDIR", temporary)
        await _kill_one_then_reload_then_stop(tmp_path, postgres_url, Path(temporary))


async def _kill_one_then_reload_then_stop(folder: Path, database_url: str, temporary: Path) -> None:
    async with two_workers(folder, database_url) as (server, _):
        assert server.process is not None
        before = children(server.process.pid)
        doors = list(temporary.glob("agentchat-*/*"))
        assert sorted(one.name for one in doors) == ["0", "1"]
        assert all(one.parent.stat().st_mode & 0o777 == 0o700 for one in doors)
        os.kill(min(before), signal.SIGKILL)
        while children(server.process.pid) & {min(before)} or len(children(server.process.pid)) < 2:
            await asyncio.sleep(0.02)
        await until(server.url, "agentchat_worker_up", 2)
        server.signal(signal.SIGHUP)
        while children(server.process.pid) & before:
            await asyncio.sleep(0.05)
        await until(server.url, "agentchat_worker_up", 2)
        server.signal(signal.SIGTERM)
        assert await server.ended() == 0
        assert list(temporary.glob("agentchat-*")) == []
