"""One child: started, asked, killed. Whatever it says or doesn't say, the parent is done with it in bounded memory."""

import asyncio
import logging
import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Self

import msgspec

from adapters.documents.answers import largest
from adapters.documents.limits import ParserLimits
from adapters.documents.messages import HEAD, Answer, Question, Ready, decode_word, encode_question

log = logging.getLogger("agentchat.documents")

START_SECONDS: Final = 30.0
LONGEST_LINE: Final = 2000
MAX_LOGGED: Final = 20_000
_SLOW_BYTES: Final = 1 << 20
_PASSED_ON: Final = ("LD_LIBRARY_PATH", "TMPDIR")
_SOURCES: Final = str(Path(__file__).parents[2])
"""Where this very code lies: a child must not be of another version than its parent."""
_COMMAND: Final = "import sys; sys.path.insert(0, sys.argv[1]); from adapters.documents.child import main; main()"


class ChildFailed(Exception):
    """The child ended, or said what no child says. It must be killed."""


class ChildProcess:
    """Questions go over a socket, for a descriptor goes with each; answers come over a pipe."""

    def __init__(self, link: "_Link", questions: socket.socket) -> None:
        self._link = link
        self._questions = questions
        self._is_killed = False
        self.pid = link.pipes.get_pid()
        self.asked = 0
        self.peak = 0

    @classmethod
    async def start(cls, limits: ParserLimits) -> Self:
        """Raises ChildFailed, and OSError, when there can be none."""
        ours, theirs = socket.socketpair()
        try:
            child = await cls._spawn(limits, ours, theirs)
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        try:
            async with asyncio.timeout(START_SECONDS):
                await child._link.word()
        except BaseException as error:
            child.kill()
            await child.gone()
            if isinstance(error, TimeoutError):
                raise ChildFailed("It did not become ready.") from error
            raise
        return child

    @classmethod
    async def _spawn(cls, limits: ParserLimits, ours: socket.socket, theirs: socket.socket) -> Self:
        ours.setblocking(False)
        spawning = asyncio.ensure_future(_linked(limits, theirs))
        try:
            await _ended(spawning)
        except asyncio.CancelledError:
            if not spawning.cancelled() and spawning.exception() is None:
                child = cls(spawning.result(), ours)
                child.kill()
                await child.gone()
            raise
        return cls(spawning.result(), ours)

    @property
    def is_alive(self) -> bool:
        return not self._link.is_over

    async def ask(self, question: Question, content: int) -> Answer:
        """Raises ChildFailed. Whoever cancels this must kill the child: its answer would be taken for the next one."""
        self.asked += 1
        word = self._link.word()
        try:
            socket.send_fds(self._questions, [encode_question(question)], [content])
        except OSError as error:
            word.cancel()
            raise ChildFailed("It reads no questions.") from error
        answer = await word
        if isinstance(answer, Ready):
            raise ChildFailed("It was ready twice.")
        self.peak = answer.peak
        return answer

    def kill(self) -> None:
        """At once, with all that it started; again does nothing. Once collected, its id may be somebody else's.

        Its end must be waited for. The transport is closed only then: before, it would look whether the child is over,
        and so might collect what asyncio's watcher waits for.
        """
        if self._is_killed:
            return
        self._is_killed = True
        self._questions.close()
        if not self._is_collected():
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    def _is_collected(self) -> bool:
        if self._link.has_exited:
            return True
        if sys.platform == "linux":
            # The event loop may have collected it in a thread, and not have said so yet.
            try:
                os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
            except ChildProcessError:
                return True
        return False

    async def gone(self) -> None:
        """Wait until it was killed and collected, and its pipes are closed, even when cancelled."""
        await _ended(self._link.over)


class _Link(asyncio.SubprocessProtocol):
    """Cuts the child's answers out of its output. Says no more than one word at a time, and only when asked."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._buffer = bytearray()
        self._waiting: asyncio.Future[bytearray] | None = None
        self._logged = 0
        self.pipes: asyncio.SubprocessTransport
        self.is_over = False
        self.has_exited = False
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self.pipes = transport

    async def _decoded(self, waiting: "asyncio.Future[bytearray]") -> Ready | Answer:
        body = await waiting
        try:
            if len(body) < _SLOW_BYTES:
                return decode_word(body)
            return await asyncio.to_thread(decode_word, body)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise ChildFailed("It said what no child says.") from error

    def word(self) -> "asyncio.Task[Ready | Answer]":
        waiting = self._waiting = asyncio.get_running_loop().create_future()
        self._cut()
        return asyncio.ensure_future(self._decoded(waiting))

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd == 2:
            self._log(data)
        elif not self.is_over:
            self._buffer += data
            self._cut()

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:  # noqa: ARG002
        if fd == 1:
            self._fail("Its output ended.")

    def process_exited(self) -> None:
        self.has_exited = True
        # What it started may hold its pipes open.
        self.pipes.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._fail("It ended.")
        if not self.over.done():
            self.over.set_result(None)

    def _cut(self) -> None:
        if self.is_over:
            self._fail("It is over.")
        if len(self._buffer) < HEAD:
            return
        end = HEAD + int.from_bytes(self._buffer[:HEAD])
        if end > HEAD + self._most or len(self._buffer) > end:
            self._fail("It says too much.")
        elif len(self._buffer) == end and self._waiting is not None and not self._waiting.done():
            body, self._buffer = self._buffer[HEAD:], bytearray()
            self._waiting.set_result(body)

    def _fail(self, why: str) -> None:
        self.is_over = True
        self._buffer.clear()
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(ChildFailed(why))

    def _log(self, data: bytes) -> None:
        room = MAX_LOGGED - self._logged
        self._logged += len(data)
        for line in data[: max(room, 0)].decode(errors="replace").splitlines():
            log.debug("A child that reads documents says: %r", line[:LONGEST_LINE])


async def _linked(limits: ParserLimits, questions: socket.socket) -> _Link:
    _, link = await asyncio.get_running_loop().subprocess_exec(
        lambda: _Link(largest(limits)),
        sys.executable,
        *("-I", "-B", "-X", "utf8", "-c", _COMMAND, _SOURCES),
        *(str(os.getpid()), msgspec.json.encode(limits).decode()),
        stdin=questions.fileno(),
        env={"MALLOC_ARENA_MAX": "1", **{name: os.environ[name] for name in _PASSED_ON if name in os.environ}},
        start_new_session=True,
    )
    return link


async def _ended(work: asyncio.Future[Any]) -> None:
    """Wait until it is done, whatever comes of it. Who is cancelled meanwhile, once or often, is so afterwards."""
    cancelled: asyncio.CancelledError | None = None
    while not work.done():
        try:
            await asyncio.wait({work})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
