"""Serving: one socket, one or several processes, and a stop that lets running answers end."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import FrameType
from typing import Final

import structlog
import uvicorn

from entrypoints.logs import configure_logging
from entrypoints.metrics.workers import WorkerPlace
from entrypoints.serving.server_protocol import BoundedHttp
from entrypoints.settings.loading import Settings, load_settings

KEEP_ALIVE_SECONDS: Final = 75
"""Longer than a reverse proxy's, so that it is the proxy who closes an idle connection."""
CLOSING_SECONDS: Final = 5
BACKLOG: Final = 2048

log = structlog.get_logger(__name__)

Drain = Callable[[], Awaitable[None]]


class CannotListen(Exception):
    """The address is taken, not ours, or not allowed; the message says which."""


class GracefulServer(uvicorn.Server):
    """Drains before it stops: it keeps listening, so that new requests get their 503, while answers end."""

    def __init__(self, config: uvicorn.Config, drain: Drain, *, announce: str = "", supervised_by: int = 0) -> None:
        super().__init__(config)
        self.drain = drain
        self.announce = announce
        self.supervised_by = supervised_by
        self.stopping = False
        self.draining: asyncio.Future[None] | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """The first signal drains. A second ends at once, but in a worker: there the supervisor decides."""
        if self.supervised_by:
            self.stopping = self.stopping or sig == signal.SIGTERM
        elif self.stopping:
            self.should_exit = self.force_exit = True
        else:
            self.stopping = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.announce:
            sys.stdout.write(f"{self.announce}\n")
            sys.stdout.flush()

    async def on_tick(self, counter: int) -> bool:
        if self.supervised_by and os.getppid() != self.supervised_by:
            self.stopping = True
        if self.stopping and self.draining is None:
            self.draining = asyncio.ensure_future(self.drain())
        if self.draining is not None and self.draining.done():
            if error := self.draining.exception():
                log.error("drain_failed", exc_info=error)
            self.should_exit = True
        return await super().on_tick(counter)


def serve(settings: Settings) -> int:
    """Until a signal; the exit code."""
    sock = bind(settings.host, settings.port)
    from entrypoints.serving.sole_server import sole_server

    with sole_server(settings):
        if not asyncio.run(_database_is_ready(settings)):
            return 0
        if settings.workers == 1:
            return run(sock, settings, announce=greeting(sock))
        from entrypoints.serving.server_workers import Supervisor

        return Supervisor(settings, sock, greeting(sock)).run()


async def _database_is_ready(settings: Settings) -> bool:
    """False when a signal ended the waiting for it. Raises Unavailable."""
    from entrypoints.schema_ready import await_database

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return await await_database(settings, stop)


def bind(host: str, port: int) -> socket.socket:
    """Raises CannotListen."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        sock = socket.socket(family, kind, protocol)
    except OSError as error:
        raise CannotListen(f"{host} is not an address of this machine: {error.strerror}") from error
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        # Listening at once makes a second server on the port fail here, before it touches the database.
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise CannotListen(
            f"can't listen on {host} port {port}: {error.strerror}. "
            "Stop what uses it, or choose another with --port or AGENTCHAT_PORT."
        ) from error
    return sock


def greeting(sock: socket.socket) -> str:
    host, port = sock.getsockname()[:2]
    address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    return f"agentchat listens on {address} (its API is described at {address}/docs)"


def run(
    sock: socket.socket,
    settings: Settings,
    *,
    announce: str = "",
    supervised_by: int = 0,
    place: WorkerPlace | None = None,
) -> int:
    """One process that serves on the socket. 0 after a graceful stop."""
    from entrypoints.main import create_app

    app = create_app(settings, place)
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http=BoundedHttp,
        ws="none",
        lifespan="on",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=CLOSING_SECONDS,
    )
    server = GracefulServer(config, app.state.stop, announce=announce, supervised_by=supervised_by)
    try:
        server.run(sockets=[sock])
    except SystemExit:
        return 1
    return 1 if server.force_exit else 0


def main(arguments: list[str]) -> int:
    """A worker process, started by the supervisor: the socket's descriptor, what to announce, and its place."""
    # Ctrl-C reaches the whole group; in a worker only the supervisor's SIGTERM counts.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    descriptor, announce, number, folder = arguments
    settings = load_settings()
    place = WorkerPlace(int(number), settings.workers, Path(folder))
    configure_logging(settings.log_level, settings.log_format)
    sock = socket.socket(fileno=int(descriptor))
    return run(sock, settings, announce=announce, supervised_by=os.getppid(), place=place)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
