"""A process of `agentchat`, forked from one that is warm: to import the application takes longer than most tests."""

import atexit
import functools
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

_TESTS = Path(__file__).parent.parent


class WarmProcess:
    """What tests need of a Popen."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._ended = threading.Event()

    def end(self, code: int) -> None:
        self.returncode = code
        self._ended.set()

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if not self._ended.wait(timeout):
            raise subprocess.TimeoutExpired("agentchat", timeout or 0)
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: signal.Signals) -> None:
        # As a Popen does, this says nothing of one that has ended meanwhile.
        if self.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class WarmStarts:
    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "live.warm_server"],
            cwd=_TESTS,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self._started: queue.SimpleQueue[WarmProcess | None] = queue.SimpleQueue()
        self._asking = threading.Lock()
        threading.Thread(target=self._listen, daemon=True).start()
        atexit.register(self._process.communicate)

    def run(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        said: Path,
        complained: Path | None = None,
        program: Path | None = None,
    ) -> WarmProcess:
        """What it says is added to the files. Instead of `agentchat` it runs the program, if there is one."""
        asked = {"arguments": arguments, "environment": environment, "folder": str(folder), "said": str(said)}
        asked |= {"complained": str(complained or said), "program": str(program or "")}
        # As a Popen's, its files are there as soon as it is.
        said.touch()
        line = json.dumps(asked).encode() + b"\n"
        with self._asking:
            assert self._process.stdin is not None
            self._process.stdin.write(line)
            self._process.stdin.flush()
            made = self._started.get()
        if made is None:
            raise AssertionError("the process that starts others ended")
        return made

    def _listen(self) -> None:
        assert self._process.stdout is not None
        known: dict[int, WarmProcess] = {}
        for line in self._process.stdout:
            told = json.loads(line)
            if "started" in told:
                known[told["started"]] = made = WarmProcess(told["started"])
                self._started.put(made)
            else:
                known.pop(told["ended"]).end(told["code"])
        self._started.put(None)


@functools.cache
def warm_starts() -> WarmStarts:
    return WarmStarts()
