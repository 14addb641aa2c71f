"""Servers and workers that are started before their database: they wait, say so once, and end when told to."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from exposed import exposed
from live.live_server import SECRETS, free_port
from live.warm_start import WarmProcess, warm_starts
from patience import PATIENCE
from servers.postgres import Postgres
from servers.tcp_proxy import TcpProxy

COMMANDS = pytest.mark.parametrize("command", ["worker", "serve"])


class Started:
    def __init__(
        self, folder: Path, url: str, command: str, from_nothing: bool, settings: Mapping[str, object]
    ) -> None:
        self.port = free_port()
        self._log = folder / f"{command}.log"
        given = {"DATABASE_URL": url, "DATA_DIR": folder, "SECRET_KEYS": SECRETS, "VECTOR__KIND": "embedded"}
        given |= {"PORT": self.port, "LOG_FORMAT": "json", "SHUTDOWN_GRACE_SECONDS": 1, **settings}
        clean = {name: value for name, value in os.environ.items() if not name.endswith(("_API_KEY", "_BASE_URL"))}
        environment = clean | {f"AGENTCHAT_{name}": str(value) for name, value in given.items()}
        self.process: subprocess.Popen[bytes] | WarmProcess
        if not from_nothing:
            self.process = warm_starts().run([command], environment, folder, self._log)
            return
        with self._log.open("ab") as log:
            program = [sys.executable, "-m", "entrypoints.cli", command]
            self.process = subprocess.Popen(program, env=environment, cwd=folder, stdout=log, stderr=log)

    @property
    def said(self) -> str:
        return self._log.read_text()

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.said.splitlines() if line.startswith("{")]

    def named(self, event: str) -> list[dict[str, Any]]:
        return [one for one in self.events if one["event"] == event]

    @property
    def is_ready(self) -> bool:
        return "agentchat works on jobs" in self.said or "agentchat listens on" in self.said

    async def until(self, met: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not met():
            assert time.monotonic() < deadline, self.said
            assert self.process.poll() is None, self.said
            await asyncio.sleep(0.02)

    async def ended(self) -> int:
        return await asyncio.to_thread(self.process.wait, PATIENCE)


@contextmanager
def started(
    folder: Path, url: str, command: str, *, from_nothing: bool = False, **settings: object
) -> Iterator[Started]:
    made = Started(folder, url, command, from_nothing, settings)
    try:
        yield made
    finally:
        made.process.kill()
        made.process.wait()


@COMMANDS
async def test_it_waits_for_its_database_says_so_once_and_goes_on_when_it_is_there(
    postgres: Postgres, postgres_url: str, tmp_path: Path, command: str
) -> None:
    async with TcpProxy(postgres.port) as proxy:
        proxy.manner = "refuse"
        url = postgres_url.replace(str(postgres.port), str(proxy.port))
        with started(tmp_path, url, command, from_nothing=True) as one:
            await proxy.newcomers(3)
            assert one.process.poll() is None
            assert not one.is_ready
            proxy.manner = "forward"
            await one.until(lambda: one.is_ready)
            (away,), (back,) = one.named("database_unavailable"), one.named("database_back")
            assert away["level"] == "warning"
            assert 0 < back["seconds"] < 30
            one.process.send_signal(signal.SIGTERM)
            assert await one.ended() == 0


@pytest.mark.parametrize(("command", "manner"), [("serve", "refuse"), ("worker", "hold")])
async def test_told_to_stop_while_it_waits_it_ends_well(
    postgres: Postgres, tmp_path: Path, command: str, manner: Any
) -> None:
    async with TcpProxy(postgres.port) as proxy:
        proxy.manner = manner
        with started(tmp_path, f"postgresql://postgres@127.0.0.1:{proxy.port}/x", command) as one:
            await proxy.newcomers(1 if manner == "hold" else 3)
            one.process.send_signal(signal.SIGTERM)
            # The database never comes: nothing else would end it.
            assert await one.ended() == 0
    assert "Traceback" not in one.said


async def test_a_mistake_is_no_outage_and_said_in_a_sentence(postgres: Postgres, tmp_path: Path) -> None:
    with started(tmp_path, f"postgresql://postgres@127.0.0.1:{postgres.port}/no_such_place", "worker") as one:
        assert await one.ended() == 1
    sentence = 'The database refuses the connection: database "no_such_place" does not exist. Check database_url.'
    assert one.said.splitlines()[-1] == sentence
    assert "Traceback" not in one.said


async def test_one_of_several_processes_that_starts_anew_in_an_outage_does_not_take_the_others_with_it(
    postgres: Postgres, postgres_url: str, tmp_path: Path
) -> None:
    async with TcpProxy(postgres.port) as proxy:
        url = postgres_url.replace(str(postgres.port), str(proxy.port))
        with started(tmp_path, url, "serve", from_nothing=True, WORKERS=2) as one:
            await one.until(lambda: one.is_ready)
            proxy.manner = "refuse"
            children = Path(f"/proc/{one.process.pid}/task/{one.process.pid}/children").read_text().split()
            os.kill(int(children[-1]), signal.SIGKILL)
            await one.until(lambda: bool(one.named("worker_died")))
            await one.until(lambda: bool(one.named("leases_not_renewed")))
            async with asyncio.timeout(PATIENCE):
                while await workers_up(one.port) != 2:
                    await asyncio.sleep(0.05)
            assert not one.named("worker_failed_to_start")
            one.process.send_signal(signal.SIGTERM)
            assert await one.ended() == 0


async def workers_up(port: int) -> float:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE) as client:
        return exposed(await client.get("/metrics")).value("agentchat_worker_up")
