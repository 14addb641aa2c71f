"""What `agentchat doctor` finds at a live server."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from live.live_server import LiveServer
from live.warm_start import warm_starts

HASTE = {"HEARTBEAT_SECONDS": 1, "OFFLINE_DELAY_MS": 10}
PATIENCE = 120


@dataclass(frozen=True)
class Diagnosis:
    code: int
    findings: list[dict[str, str]]
    output: str

    def named(self, name: str) -> dict[str, str]:
        [found] = [finding for finding in self.findings if finding["name"] == name]
        return found

    def with_status(self, status: str) -> set[str]:
        return {finding["name"] for finding in self.findings if finding["status"] == status}


async def started(server: LiveServer, *arguments: str, **more: str) -> asyncio.subprocess.Process:
    """As operators start it: from nothing."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "entrypoints.cli", "doctor", *arguments),
        env=server.environment() | more,
        cwd=server.data_dir.parent,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def examined(server: LiveServer, *arguments: str, **more: str) -> Diagnosis:
    folder = server.data_dir.parent
    with TemporaryDirectory() as place:
        said, complained = Path(place, "said"), Path(place, "complained")
        given = server.environment() | more
        process = warm_starts().run(["doctor", "--json", *arguments], given, folder, said, complained)
        code = await asyncio.to_thread(process.wait, PATIENCE)
        return diagnosis(code, said.read_text(), complained.read_text())


def diagnosis(code: int, out: str, complaints: str) -> Diagnosis:
    assert out, complaints
    return Diagnosis(code, json.loads(out), out + complaints)


@asynccontextmanager
async def serving(data_dir: Path, **settings: Any) -> AsyncIterator[LiveServer]:
    data_dir.mkdir(exist_ok=True)
    server = LiveServer(data_dir, {**HASTE, **settings})
    try:
        await server.start()
        yield server
    finally:
        server.kill()
