"""A process that serves, forked from one that is warm: to import the application takes longer than most tests."""

import atexit
import functools
import json
import queue
import subprocess
import sys
import threading
from pathlib import Path

_PROGRAM = Path(__file__).with_name("warm_server.py")


class WarmProcess:
    """What LiveServer needs of a Popen."""

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
            raise subprocess.TimeoutExpired("serve", timeout or 0)
        assert self.returncode is not None
        return self.returncode


class WarmStarts:
    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(_PROGRAM)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        self._started: queue.SimpleQueue[WarmProcess | None] = queue.SimpleQueue()
        self._asking = threading.Lock()
        threading.Thread(target=self._listen, daemon=True).start()
        atexit.register(self._process.communicate)

    def serve(self, environment: dict[str, str], folder: Path, log: Path) -> WarmProcess:
        asked = json.dumps({"environment": environment, "folder": str(folder), "log": str(log)})
        with self._asking:
            assert self._process.stdin is not None
            self._process.stdin.write(asked.encode() + b"\n")
            self._process.stdin.flush()
            made = self._started.get()
        if made is None:
            raise AssertionError("the process that starts servers ended")
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
