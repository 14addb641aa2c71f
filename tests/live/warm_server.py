"""Commands in no time: this process has imported the application, and forks itself for each that is asked for.

A line on its standard input asks for one: {"arguments": …, "environment": …, "folder": …, "said": …, "complained": …,
"program": …}; the last is empty for `agentchat` itself. Lines on its standard output say {"started": PID} for each, in
their order, and {"ended": PID, "code": N}. Where its input ends, so do all of them.
"""

import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import sys
from contextlib import suppress
from typing import Any

from entrypoints import cli, server_workers
from live.warm_workers import ForkingSupervisor

EVERYTHING = (
    *("entrypoints.main", "entrypoints.server", "entrypoints.sole_server", "entrypoints.schema_ready"),
    *("entrypoints.worker", "entrypoints.doctor.command"),
    *("adapters.anthropic", "adapters.anthropic.answer", "adapters.openai", "adapters.openai.answer"),
    *("adapters.database.vectors_embedded", "adapters.jobs", "adapters.minio", "adapters.openapi"),
    *("adapters.web.answer", "adapters.web.lean", "adapters.web.sse", "adapters.web.watch"),
    *("alembic.command", "alembic.config", "anthropic", "anyio._backends._asyncio", "numpy", "openai", "pgqueuer"),
    *("litestar._kwargs", "litestar.exceptions.responses", "litestar.middleware.response_cache"),
    *("litestar.plugins.attrs", "litestar.plugins.pydantic", "uvicorn.lifespan.on", "uvicorn.loops.uvloop"),
)
"""What commands import as soon as they need it; the libraries of models alone take two seconds."""


def run(asked: dict[str, Any], heard: socket.socket, hearing: socket.socket) -> int:
    """In the child: all that a process gets from who starts it."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    heard.close()
    hearing.close()
    os.setpgid(0, 0)
    said, complained = (
        os.open(asked[name], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644) for name in ("said", "complained")
    )
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (said, 1), (complained, 2)):
        os.dup2(source, target)
    os.closerange(3, 64)
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    sys.argv[1:] = asked["arguments"]
    server_workers.Supervisor = ForkingSupervisor  # type: ignore[misc]
    if not asked["program"]:
        return cli.main(asked["arguments"])
    sys.argv[0] = asked["program"]
    runpy.run_path(asked["program"], run_name="__main__")
    return 0


def say(**what: int) -> None:
    os.write(1, json.dumps(what).encode() + b"\n")


def buried(alive: set[int]) -> None:
    while alive:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        alive.discard(pid)
        say(ended=pid, code=os.waitstatus_to_exitcode(status))


def main() -> int:
    for name in EVERYTHING:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    heard, hearing = socket.socketpair()
    for end in (heard, hearing):
        end.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(hearing.fileno(), warn_on_full_buffer=False)
    events = selectors.DefaultSelector()
    events.register(0, selectors.EVENT_READ)
    events.register(heard, selectors.EVENT_READ)
    pending, alive = b"", set[int]()
    while True:
        for key, _ in events.select():
            if key.fd != 0:
                heard.recv(4096)
                continue
            piece = os.read(0, 1 << 20)
            if not piece:
                for pid in alive:
                    os.killpg(pid, signal.SIGKILL)
                return 0
            *lines, pending = (pending + piece).split(b"\n")
            for line in lines:
                pid = os.fork()
                if not pid:
                    events.close()
                    return run(json.loads(line), heard, hearing)
                # Here too: who is told of it may kill its group before it has made one.
                with suppress(OSError):
                    os.setpgid(pid, pid)
                alive.add(pid)
                say(started=pid)
        buried(alive)


if __name__ == "__main__":
    sys.exit(main())
