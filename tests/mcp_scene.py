"""MCP servers under test: programs of the SDK, rude ones, and what connects to them."""

import asyncio
import itertools
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from adapters.mcp.connections import SdkMcpConnections
from adapters.mcp.limits import McpLimits
from adapters.web.guarded import GuardedHttp
from domain.ids import McpServerId, UserId
from domain.tools.addresses import Reach
from domain.tools.mcp_servers import McpAddress, McpServer, McpTransport
from guarded_scene import LOOPBACK, TLS
from patience import PATIENCE

SERVERS = Path(__file__).parent / "servers"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
PATHS = {McpTransport.STREAMABLE_HTTP: "/mcp", McpTransport.SSE: "/sse"}
SECRET = "opensesame-4711"
_numbers = itertools.count(1)


def server_at(address: McpAddress) -> McpServer:
    return McpServer(McpServerId(f"server{next(_numbers)}"), UserId("ann"), "Tools", address, NOW, NOW)


def http_server(url: str, transport: McpTransport = McpTransport.STREAMABLE_HTTP, path: str | None = None) -> McpServer:
    where = url + (PATHS[transport] if path is None else path)
    return server_at(McpAddress(transport, url=where, headers=(("x-key", SECRET),)))


def program(*args: str, flags: tuple[str, ...] = ()) -> McpServer:
    """A Python program, with a variable of its own."""
    return server_at(
        McpAddress(McpTransport.STDIO, command=sys.executable, args=(*flags, *args), env=(("KEY", SECRET),))
    )


def sdk_program(slow: float = 0) -> McpServer:
    return program(str(SERVERS / "mcp_tools_server.py"), "stdio", str(slow))


def rude_program(manner: str) -> McpServer:
    return program(str(SERVERS / "mcp_rude_program.py"), manner, flags=("-I", "-S"))


@asynccontextmanager
async def connecting(
    limits: McpLimits | None = None,
    *,
    opened: tuple[str, ...] = LOOPBACK,
    clock: Callable[[], float] | None = None,
    alone: bool = True,
) -> AsyncIterator[SdkMcpConnections]:
    """Nothing is left when it ends. Where others begin and end tasks meanwhile (not `alone`), that is not looked at."""
    before = asyncio.all_tasks()
    web = GuardedHttp(Reach.of(opened), tls=TLS)
    timing = {} if clock is None else {"clock": clock, "jitter": lambda: 0.0}
    connections = SdkMcpConnections(lambda: web.client(max_bytes=1 << 40), limits, **timing)
    try:
        yield connections
    finally:
        await connections.aclose()
        await web.aclose()
        if alone:
            # Those of a server under test end when it hears that the connection is closed.
            await until(lambda: asyncio.all_tasks() <= before)


class HttpProgram:
    """The SDK's server as a child process, which can be killed and started again at its port."""

    def __init__(self) -> None:
        self._port = 0
        self._child: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        command = [sys.executable, str(SERVERS / "mcp_tools_server.py"), "http", str(self._port)]
        self._child = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
        assert self._child.stdout is not None
        self._port = int(self._child.stdout.readline())
        return self

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def kill(self) -> None:
        if self._child is not None and self._child.stdout is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._child.pid, signal.SIGKILL)
            self._child.wait()
            self._child.stdout.close()
            self._child = None


def open_ends() -> set[str]:
    """Sockets and pipes of this process."""
    found = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            found.add(os.readlink(descriptor))
    return {one for one in found if one.startswith(("socket:", "pipe:"))}


def is_alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


async def until(true: Callable[[], bool], within: float = PATIENCE) -> None:
    async with asyncio.timeout(within):
        while not true():
            await asyncio.sleep(0.01)
