"""The processes of a server with several, forked: begun from nothing, each would import the application for itself."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from typing import cast

from entrypoints.serving import server, server_workers

HANDLED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
MOST_DESCRIPTORS = 256


class ForkedWorker:
    """What a supervisor needs of a Popen."""

    def __init__(self, arguments: list[str]) -> None:
        self._process = multiprocessing.get_context("fork").Process(target=_serve, args=(arguments,))
        # A signal that comes before the new process has let go of its parent's handlers has to wait.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)
        self._process.start()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

    @property
    def pid(self) -> int:
        return self._process.pid or 0

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def terminate(self) -> None:
        self._process.terminate()

    def kill(self) -> None:
        self._process.kill()


def _serve(arguments: list[str]) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    listening = int(arguments[0])
    os.closerange(3, listening)
    os.closerange(listening + 1, MOST_DESCRIPTORS)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)
    sys.exit(server.main(arguments))


class ForkingSupervisor(server_workers.Supervisor):
    def _start(self, number: int, *, announce: bool = False) -> "subprocess.Popen[bytes]":
        module = self._command(number, announce).index("entrypoints.serving.server")
        worker = ForkedWorker(self._command(number, announce)[module + 1 :])
        self.started[worker.pid] = time.monotonic()
        return cast("subprocess.Popen[bytes]", worker)
