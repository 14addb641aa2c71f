"""Servers that are programs on this machine: one message a line on their standard input and output.

The SDK reads lines of any length, and gives programs more of our environment than they should have.
"""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import anyio
import mcp_types as types
from mcp.client._transport import TransportStreams
from mcp.shared.message import SessionMessage

from adapters.mcp import launcher, words
from adapters.mcp.connection import Line
from adapters.mcp.deliveries import DELIVERY
from adapters.mcp.limits import McpLimits
from adapters.mcp.weights import too_many_values
from adapters.mcp.words import Masked
from application.ports.mcp_connections import McpUnavailable
from domain.tools.mcp_servers import McpAddress

logger = logging.getLogger(__name__)

INHERITED: Final = ("PATH", "HOME", "LANG")
_GRACE_SECONDS: Final = 2.0
_WAITING_BYTES: Final = 8 << 20
_LOGGED_BYTES: Final = 64 << 10
_NO_MESSAGES: Final = 100


@asynccontextmanager
async def stdio_streams(address: McpAddress, line: Line, limits: McpLimits) -> AsyncIterator[TransportStreams]:
    process = await _started(address, limits)
    errors = asyncio.create_task(_log_errors(process, Masked(address)))
    try:
        yield StdioReads(process, line, limits), StdioWrites(process)
    finally:
        # A task that is cancelled again while it closes must not leave a program behind.
        with suppress(ProcessLookupError, asyncio.CancelledError):
            await _stopped(process)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        errors.cancel()
        _close_pipes(process)


async def _started(address: McpAddress, limits: McpLimits) -> asyncio.subprocess.Process:
    # One of the event loops would cut an argument there.
    if "\0" in "".join((address.command, *address.args, *(value for _, value in address.env))):
        raise McpUnavailable(words.NOT_STARTED)
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    try:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            "-S",
            str(Path(launcher.__file__)),
            str(os.getpid()),
            address.command,
            *address.args,
            env=inherited | dict(address.env),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
            limit=limits.message_bytes,
        )
    except (OSError, ValueError):
        raise McpUnavailable(words.NOT_STARTED) from None


async def _stopped(process: asyncio.subprocess.Process) -> None:
    """As the protocol wants it: its input ends, then it is ended."""
    if process.stdin is not None:
        process.stdin.close()
    with suppress(TimeoutError):
        async with asyncio.timeout(_GRACE_SECONDS):
            await process.wait()
            return
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with suppress(TimeoutError):
        async with asyncio.timeout(_GRACE_SECONDS):
            await process.wait()


def _close_pipes(process: asyncio.subprocess.Process) -> None:
    """What a program left behind may hold the other ends."""
    transport = getattr(process, "_transport", None)
    if transport is not None:
        with suppress(PermissionError):
            transport.close()


async def _log_errors(process: asyncio.subprocess.Process, masked: Masked) -> None:
    left = _LOGGED_BYTES
    while process.stderr is not None and (said := await process.stderr.read(4096)):
        if left > 0:
            left -= len(said)
            logger.debug("an MCP server wrote: %s", masked.line(said.decode("utf-8", "replace")))


class StdioReads:
    """A line of standard output is a message. Programs print other things too: some of it is passed over."""

    def __init__(self, process: asyncio.subprocess.Process, line: Line, limits: McpLimits) -> None:
        self._process = process
        self._line = line
        self._limits = limits
        self._passed_over = 0
        self._heard = False

    async def receive(self) -> SessionMessage | Exception:
        try:
            return await self.__anext__()
        except StopAsyncIteration:
            raise anyio.EndOfStream from None

    async def __anext__(self) -> SessionMessage | Exception:
        while line := await self._read_line():
            if too_many_values(line):
                self._line.broken(words.TOO_MANY)
                break
            try:
                message = types.jsonrpc_message_adapter.validate_json(line, by_name=False)
            except ValueError:
                self._passed_over += 1
                if self._passed_over > _NO_MESSAGES:
                    self._line.broken(words.NOT_MCP)
                    break
                continue
            self._passed_over = 0
            self._heard = True
            return SessionMessage(message)
        raise StopAsyncIteration

    async def _read_line(self) -> bytes:
        if self._process.stdout is None:
            return b""
        try:
            return await self._process.stdout.readuntil(b"\n")
        except asyncio.LimitOverrunError:
            self._line.broken(words.too_long(self._limits.message_bytes))
        except (asyncio.IncompleteReadError, OSError):
            if await self._exit_code() == launcher.NOT_STARTED:
                self._line.broken(words.NOT_STARTED)
            elif not self._heard:
                self._line.broken(words.ENDED)
        return b""

    async def _exit_code(self) -> int | None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_GRACE_SECONDS):
                return await self._process.wait()
        return None

    def __aiter__(self) -> Self:
        return self

    async def aclose(self) -> None:
        """The process is ended by whoever started it."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


class StdioWrites:
    """Writes in the task of the caller, so that it is known what left."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def send(self, item: SessionMessage, /) -> None:
        pipe = self._process.stdin
        if pipe is None or pipe.is_closing() or self._process.returncode is not None:
            raise anyio.ClosedResourceError
        if pipe.transport.get_write_buffer_size() > _WAITING_BYTES:
            raise anyio.BrokenResourceError
        delivery = DELIVERY.get()
        if delivery is not None:
            delivery.handed_over = True
        pipe.write(item.message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n")
        try:
            await pipe.drain()
        except OSError:
            raise anyio.BrokenResourceError from None

    async def aclose(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
