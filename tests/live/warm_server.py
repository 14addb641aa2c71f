"""Servers in no time: this process has imported the application, and forks itself for each that is asked for.

A line on its standard input asks for one: {"environment": …, "folder": …, "log": …}. Lines on its standard output say
{"started": PID} for each, in their order, and {"ended": PID, "code": N}. Where its input ends, so do all of them.
"""

import gc
import json
import os
import selectors
import signal
import socket
import sys
from contextlib import suppress

import alembic.command
import alembic.config

import entrypoints.main
import entrypoints.schema_ready
import entrypoints.server
from entrypoints import cli

IMPORTED = (alembic.command, alembic.config, entrypoints.main, entrypoints.schema_ready, entrypoints.server)


def serve(asked: dict[str, object], heard: socket.socket, hearing: socket.socket) -> int:
    """In the child: all that a process gets from who starts it."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    heard.close()
    hearing.close()
    os.setpgid(0, 0)
    log = os.open(str(asked["log"]), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.closerange(3, 64)
    os.chdir(str(asked["folder"]))
    environment = asked["environment"]
    assert isinstance(environment, dict)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv[1:] = ["serve"]
    return cli.main(["serve"])


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
                    return serve(json.loads(line), heard, hearing)
                # Here too: who is told of it may kill its group before it has made one.
                with suppress(OSError):
                    os.setpgid(pid, pid)
                alive.add(pid)
                say(started=pid)
        buried(alive)


if __name__ == "__main__":
    sys.exit(main())
