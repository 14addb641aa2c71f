"""Commands in no time: this process has imported the application, and forks itself for each that is asked for.

A line on its standard input asks for one: {"arguments": …, "environment": …, "folder": …, "said": …, "complained": …,
"program": …}; the last is empty for `agentchat` itself. Lines on its standard output say {"started": PID} for each, in
their order, and {"ended": PID, "code": N}. Where its input ends, so do all of them.
"""

import gc
import importlib
import json
import multiprocessing
import os
import runpy
import selectors
import signal
import socket
import sys
from contextlib import suppress
from multiprocessing.process import BaseProcess
from typing import Any

from entrypoints import cli
from entrypoints.serving import server_workers
from live.warm_workers import MOST_DESCRIPTORS, ForkingSupervisor

EVERYTHING = (
    *("entrypoints.main", "entrypoints.serving.server", "entrypoints.serving.sole_server", "entrypoints.schema_ready"),
    *("entrypoints.worker", "entrypoints.doctor.command"),
    *("adapters.anthropic", "adapters.anthropic.answer", "adapters.openai", "adapters.openai.answer"),
    *("adapters.database.vectors.vectors_embedded", "adapters.jobs", "adapters.minio", "adapters.openapi"),
    *("adapters.web.answer", "adapters.web.lean", "adapters.web.sse", "adapters.web.watch"),
    *("alembic.command", "alembic.config", "anthropic", "anyio._backends._asyncio", "numpy", "openai", "pgqueuer"),
    *("litestar._kwargs", "litestar.exceptions.responses", "litestar.middleware.response_cache"),
    *("litestar.plugins.attrs", "litestar.plugins.pydantic", "uvicorn.lifespan.on", "uvicorn.loops.uvloop"),
)
"""What commands import as soon as they need it; the libraries of models alone take two seconds."""


def run(asked: dict[str, Any], heard: socket.socket, hearing: socket.socket) -> None:
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
    os.closerange(3, MOST_DESCRIPTORS)
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    sys.argv[1:] = asked["arguments"]
    server_workers.Supervisor = ForkingSupervisor  # type: ignore[misc]
    if not asked["program"]:
        sys.exit(cli.main(asked["arguments"]))
    sys.argv[0] = asked["program"]
    runpy.run_path(asked["program"], run_name="__main__")


def say(**what: int) -> None:
    os.write(1, json.dumps(what).encode() + b"\n")


def buried(alive: dict[int, BaseProcess]) -> None:
    for pid, process in [*alive.items()]:
        if process.exitcode is not None:
            say(ended=pid, code=process.exitcode)
            alive.pop(pid).close()


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
    pending, alive = b"", dict[int, BaseProcess]()
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
                # It ends as others do, but does not take its modules apart one by one: to copy them takes long.
                process = multiprocessing.get_context("fork").Process(
                    target=run, args=(json.loads(line), heard, hearing)
                )
                process.start()
                pid = process.pid or 0
                # Here too: who is told of it may kill its group before it has made one.
                with suppress(OSError):
                    os.setpgid(pid, pid)
                alive[pid] = process
                say(started=pid)
        buried(alive)


if __name__ == "__main__":
    sys.exit(main())
