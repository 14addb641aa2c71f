"""Several processes on one socket: the dead are replaced, and all drain when the whole stops."""

import os
import signal
import socket
import subprocess
import sys
import time
from tempfile import TemporaryDirectory, gettempdir
from types import FrameType
from typing import Final

import structlog

from entrypoints.settings.loading import Settings

POLL_SECONDS: Final = 0.2
SPARE_SECONDS: Final = 15
"""What a worker needs beyond the grace of its answers: closing connections, the database, the interpreter."""
STARTUP_SECONDS: Final = 10
"""A worker that gives up within this time could not start, and no other would."""

LONGEST_FOLDER: Final = 60
"""Of the folder for temporary files: a socket's path has 107 bytes at most."""

log = structlog.get_logger(__name__)


class Supervisor:
    """SIGTERM and SIGINT stop the workers gracefully, a second one kills them; SIGHUP replaces them one by one."""

    def __init__(self, settings: Settings, sock: socket.socket, greeting: str = "") -> None:
        self.settings = settings
        self.sock = sock
        self.greeting = greeting
        self.signals: list[int] = []
        self.workers: list[subprocess.Popen[bytes]] = []
        self.started: dict[int, float] = {}
        self.folder = ""
        """Where the workers find each other."""

    def run(self) -> int:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._note)
        # The workers read the settings themselves: what the command line changed must reach them.
        os.environ |= {"AGENTCHAT_WORKERS": str(self.settings.workers)}
        with TemporaryDirectory(prefix="agentchat-", dir=short_folder(), ignore_cleanup_errors=True) as folder:
            self.folder = folder
            self.workers = [self._start(index, announce=index == 0) for index in range(self.settings.workers)]
            return self._watch()

    def _watch(self) -> int:
        code = 0
        while not self._told_to_stop() and code == 0:
            self._reload_if_told()
            code = self._replace_dead()
            time.sleep(POLL_SECONDS)
        return self._stop() or code

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.signals.append(number)

    def _told_to_stop(self) -> bool:
        return any(number != signal.SIGHUP for number in self.signals)

    def _command(self, number: int, announce: bool) -> list[str]:
        text = self.greeting if announce else ""
        module = [sys.executable, "-P", "-m", "entrypoints.serving.server"]
        return [*module, str(self.sock.fileno()), text, str(number), self.folder]

    def _start(self, number: int, *, announce: bool = False) -> "subprocess.Popen[bytes]":
        worker = subprocess.Popen(self._command(number, announce), pass_fds=[self.sock.fileno()])  # noqa: S603 - our own module
        self.started[worker.pid] = time.monotonic()
        return worker

    def _replace_dead(self) -> int:
        """An exit code when a worker could not even start: the next one could not either."""
        for index, worker in enumerate(self.workers):
            if worker.poll() is None:
                continue
            if worker.returncode > 0 and time.monotonic() - self.started[worker.pid] < STARTUP_SECONDS:
                log.error("worker_failed_to_start", pid=worker.pid)
                return 1
            log.warning("worker_died", pid=worker.pid, code=worker.returncode)
            self.workers[index] = self._start(index)
        return 0

    def _reload_if_told(self) -> None:
        if signal.SIGHUP not in self.signals:
            return
        self.signals = [number for number in self.signals if number != signal.SIGHUP]
        for index, old in enumerate(self.workers):
            self.workers[index] = self._start(index)
            self._end([old])

    def _stop(self) -> int:
        self._end(self.workers)
        return 1 if any(worker.returncode not in (0, -signal.SIGTERM) for worker in self.workers) else 0

    def _end(self, workers: "list[subprocess.Popen[bytes]]") -> None:
        """Ask them to stop and wait; kill them when the time is over or another signal came."""
        signals = len(self.signals)
        for worker in workers:
            worker.terminate()
        deadline = time.monotonic() + self.settings.shutdown_grace_seconds + SPARE_SECONDS
        while any(worker.poll() is None for worker in workers):
            if len(self.signals) > signals or time.monotonic() > deadline:
                for worker in workers:
                    worker.kill()
            time.sleep(POLL_SECONDS)


def short_folder() -> str | None:
    """Where sockets can have a path; None: where temporary files are anyway."""
    return "/tmp" if len(os.fsencode(gettempdir())) > LONGEST_FOLDER else None  # noqa: S108 - the folder in it is ours
