"""Stopping: the first signal lets answers end while new requests are refused, the second ends at once."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
import structlog
import uvicorn

from entrypoints.serving import server_protocol
from entrypoints.serving.server import BoundedHttp, GracefulServer, bind

NEVER = 30.0
"""A deadline for what must happen long before."""


class Application:
    """Answers /slow when released; refuses everything once it drains."""

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.release = asyncio.Event()
        self.draining = asyncio.Event()
        self.done = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for name in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{name}.complete"})
            return
        status = 503 if self.draining.is_set() else 200
        if scope["path"] == "/slow":
            self.started.set()
            await self.release.wait()
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})
        self.done.set()

    async def drain(self) -> None:
        self.draining.set()
        await self.done.wait()


@asynccontextmanager
async def running(app: Application, **options: Any) -> AsyncIterator[tuple[GracefulServer, int, asyncio.Task[None]]]:
    sock = bind("127.0.0.1", 0)
    config = uvicorn.Config(app, http=BoundedHttp, ws="none", log_config=None, interface="asgi3")
    server = GracefulServer(config, app.drain, **options)
    task = asyncio.create_task(server.serve(sockets=[sock]))
    try:
        yield server, sock.getsockname()[1], task
    finally:
        server.should_exit = server.force_exit = True
        await asyncio.wait_for(task, NEVER)


async def get(port: int, path: str, extra: bytes = b"") -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET " + path.encode() + b" HTTP/1.1\r\nHost: h\r\nConnection: close\r\n" + extra + b"\r\n")
    try:
        return (await reader.read()).split(b"\r\n")[0]
    finally:
        writer.close()


def scenario(run: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(run(), NEVER))


def test_a_stop_refuses_new_requests_and_lets_running_ones_end() -> None:
    async def run() -> None:
        app = Application()
        async with running(app) as (server, port, task):
            slow = asyncio.create_task(get(port, "/slow"))
            await app.started.wait()
            server.handle_exit(signal.SIGTERM, None)
            await app.draining.wait()
            assert b"503" in (await get_while_draining(app, port))
            assert b"200" in await slow
            await task
            with pytest.raises(OSError, match=r"."):
                await asyncio.open_connection("127.0.0.1", port)

    async def get_while_draining(app: Application, port: int) -> bytes:
        answer = await get(port, "/new")
        app.release.set()
        return answer

    scenario(run)


def test_a_second_signal_ends_at_once() -> None:
    async def run() -> None:
        app = Application()
        async with running(app) as (server, _, task):
            server.handle_exit(signal.SIGINT, None)
            await app.draining.wait()
            assert not task.done()
            server.handle_exit(signal.SIGINT, None)
            await task
            assert server.force_exit

    scenario(run)


def test_a_worker_leaves_the_second_signal_to_its_supervisor() -> None:
    async def run() -> None:
        app = Application()
        async with running(app, supervised_by=os.getppid()) as (server, _, task):
            server.handle_exit(signal.SIGINT, None)
            assert not server.stopping
            server.handle_exit(signal.SIGTERM, None)
            server.handle_exit(signal.SIGTERM, None)
            await app.draining.wait()
            assert not server.should_exit
            app.done.set()
            await task

    scenario(run)


def test_a_worker_without_its_supervisor_stops() -> None:
    async def run() -> None:
        app = Application()
        app.done.set()
        async with running(app, supervised_by=1 << 30) as (_, _, task):
            await task
            assert app.draining.is_set()

    scenario(run)


def test_a_drain_that_fails_still_ends_the_server() -> None:
    class Failing(Application):
        async def drain(self) -> None:
            raise RuntimeError("no")

    async def run() -> None:
        async with running(Failing()) as (server, port, task):
            server.handle_exit(signal.SIGTERM, None)
            await task
            assert (server.should_exit, server.force_exit) == (True, False)
            with pytest.raises(OSError, match=r"."):
                await asyncio.open_connection("127.0.0.1", port)

    with structlog.testing.capture_logs() as logged:
        scenario(run)
    (failure,) = logged
    assert (failure["event"], failure["log_level"], str(failure["exc_info"])) == ("drain_failed", "error", "no")


@pytest.mark.parametrize(
    "extra",
    [b"X: " + b"a" * 100_000 + b"\r\n", b"".join(b"X-%d: y\r\n" % number for number in range(20_000))],
    ids=["one", "many"],
)
def test_headers_that_are_too_large_are_refused(extra: bytes) -> None:
    async def run() -> None:
        async with running(Application()) as (_, port, _):
            assert b"200" in await get(port, "/", b"X: " + b"a" * 10_000 + b"\r\n")
            with_limit = await asyncio.gather(get(port, "/", extra), return_exceptions=True)
            assert isinstance(with_limit[0], ConnectionError) or b"431" in with_limit[0]  # type: ignore[operator]

    scenario(run)


def test_a_head_that_never_ends_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_protocol, "HEAD_SECONDS", 0.1)

    async def run() -> None:
        async with running(Application()) as (_, port, _):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET / HTTP/1.1\r\nHo")
            assert await reader.read() == b""
            writer.close()

    scenario(run)


def test_port_zero_finds_a_free_one_and_ipv6_listens() -> None:
    with bind("127.0.0.1", 0) as sock:
        assert sock.getsockname()[1] > 0
    if socket.has_ipv6:
        with bind("::1", 0) as sock:
            assert sock.family == socket.AF_INET6


SUPERVISOR = """
    import socket, subprocess, sys
    from entrypoints.logs import configure_logging
    from entrypoints.serving.server_workers import Supervisor
    from entrypoints.settings.loading import Settings

    class Stub(Supervisor):
        def _command(self, number, announce):
            return [sys.executable, "-c", WORKER]

    WORKER = {worker!r}
    configure_logging("info", "json")
    sys.exit(Stub(Settings(workers=2, shutdown_grace_seconds=20), socket.create_server(("127.0.0.1", 0))).run())
"""
POLITE = """
import os, signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
os.write(1, b"%d\\n" % os.getpid())
while True: signal.pause()
"""
STUBBORN = POLITE.replace("lambda *_: sys.exit(0)", "lambda *_: os.write(1, b'no\\n')")


def supervisor(worker: str) -> "subprocess.Popen[str]":
    program = textwrap.dedent(SUPERVISOR).format(worker=worker)
    return subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_a_dead_worker_is_replaced_and_a_stop_ends_all() -> None:
    parent = supervisor(POLITE)
    first, _ = int(line(parent)), int(line(parent))
    os.kill(first, signal.SIGKILL)
    assert int(line(parent)) != first
    parent.send_signal(signal.SIGTERM)
    assert parent.wait(NEVER) == 0


def test_workers_that_cannot_start_stop_the_whole() -> None:
    parent = supervisor("import sys; sys.exit(1)")
    assert parent.wait(NEVER) == 1


def test_a_second_signal_kills_workers_that_would_not_stop() -> None:
    parent = supervisor(STUBBORN)
    assert [line(parent).isdigit(), line(parent).isdigit()] == [True, True]
    parent.send_signal(signal.SIGTERM)
    assert [line(parent), line(parent)] == ["no", "no"]
    parent.send_signal(signal.SIGTERM)
    assert parent.wait(NEVER) == 1


def test_a_hangup_replaces_every_worker() -> None:
    parent = supervisor(POLITE)
    before = {line(parent), line(parent)}
    parent.send_signal(signal.SIGHUP)
    after = {line(parent), line(parent)}
    assert not before & after
    parent.send_signal(signal.SIGTERM)
    assert parent.wait(NEVER) == 0
