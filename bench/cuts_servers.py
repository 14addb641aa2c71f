"""The servers of a campaign, and what befalls them: graceful restarts and kills."""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from server import Server

SETTINGS = {
    "LEASE_SECONDS": 2,
    "SHUTDOWN_GRACE_SECONDS": 1,
    "DISCONNECT_GRACE_SECONDS": 10,
    "HEARTBEAT_SECONDS": 1,
}
KILL, RESTART = "kill -9", "restart"


@dataclass
class CutServer(Server):
    number: int = 0

    @property
    def environment(self) -> dict[str, str]:
        return super().environment | {f"AGENTCHAT_{name}": str(value) for name, value in SETTINGS.items()}

    def end(self) -> int:
        """Gracefully; the exit code."""
        process = self.process
        assert process
        self.stop()
        return process.returncode

    def kill(self) -> None:
        assert self.process
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@dataclass(frozen=True)
class Blow:
    """What befell a server. Times are monotonic, but for `wall`, which frames can be compared with."""

    server: int
    kind: str
    at: float
    wall: float
    ended: float


@dataclass
class Fleet:
    servers: list[CutServer]
    blows: list[Blow] = field(default_factory=list)
    down: set[int] = field(default_factory=set)
    """Servers that ended, and are not ready again."""

    @classmethod
    def over(cls, folder: Path, provider_url: str, database_url: str | None) -> "Fleet":
        """Two servers over one Postgres, one over SQLite."""
        servers = []
        for number in range(2 if database_url else 1):
            own = folder / f"server-{number}"
            own.mkdir()
            servers.append(CutServer(own, provider_url, database_url, number=number))
        return cls(servers)

    def start(self) -> None:
        if self.servers[0].database_url:
            self.servers[0].migrate()
        for server in self.servers:
            server.start()

    def stop(self) -> None:
        for server in self.servers:
            server.stop()

    def complain(self) -> None:
        for server in self.servers:
            server.complain()

    def strike(self, number: int, kind: str) -> None:
        """Until the server is ready again."""
        server, at, wall = self.servers[number], time.monotonic(), time.time()
        if kind == KILL:
            server.kill()
        else:
            code = server.end()
            assert code == 0, f"asked to end, server {number} ended with {code}"
        ended = time.monotonic()
        self.down.add(number)
        self.blows.append(Blow(number, kind, at, wall, ended))
        server.start()
        self.down.discard(number)

    def befell(self, servers: set[int], began: float, ended: float) -> list[Blow]:
        """What befell one of these servers in that time."""
        return [blow for blow in self.blows if blow.server in servers and blow.at < ended and blow.ended > began]


async def strikes(fleet: Fleet, random: Random, wanted: int, made: Callable[[], int]) -> None:
    """Blows spread over the campaign, as many of one kind as of the other."""
    count = max(2, min(16, wanted // 500))
    kinds = [KILL, RESTART] * ((count + 1) // 2)
    random.shuffle(kinds)
    for index, kind in enumerate(kinds):
        due = wanted * (index + 0.5) / count
        while made() < due:
            await asyncio.sleep(0.05)
        await asyncio.sleep(random.uniform(0, 0.3))
        await asyncio.to_thread(fleet.strike, random.randrange(len(fleet.servers)), kind)
