"""Following a run: what the socket side needs to know of it, and the reader of a log in memory."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Final, Protocol

from application.runs.run_log import RunLog
from domain.chat.chat_events import AnswerDelta, ReasoningText, Recorded
from domain.errors import TooManyRequests
from domain.runs.runs import Run

SLICE: Final = 64
"""Events that a reader takes at a time, unless they are large: what one that is far behind holds in memory."""
LARGEST_BATCH: Final = 32_768
"""Characters of text that it takes at a time, beyond its first event."""
MAX_READERS: Final = 16
"""Of one run at one process."""


class Follower(Protocol):
    """One reader's way through a log."""

    @property
    def cursor(self) -> int:
        """Grows with all that was taken."""
        ...

    @property
    def listening(self) -> bool:
        """Whether it has taken all there is, and waits for more."""
        ...

    def batches(self) -> AsyncGenerator[Sequence[Recorded], None]:
        """Yield what is new, up to the last event. An empty batch says that nothing came for a heartbeat's time."""
        ...


class Followed(Protocol):
    """A run that can be read, wherever it is made and wherever its log is."""

    @property
    def state(self) -> Run: ...

    def attach(self, after: int, heartbeat: float) -> Follower:
        """A reader of what the log holds beyond `after`, and of what comes. Give it back to `detach`.

        Raises TooManyRequests `too_many_readers`.
        """
        ...

    def detach(self, reader: Follower) -> None: ...


class Reader:
    """Follows a log in memory, and `onward` where its run waits and goes on elsewhere.

    It holds no events of its own, so a slow one costs nothing.
    """

    __slots__ = ("_events", "_heartbeat", "_listening", "_log", "_onward", "_place", "_spoke_at", "_waiter", "_yonder")

    def __init__(self, log: RunLog, after: int, heartbeat: float, onward: Callable[[], Followed]) -> None:
        self._log = log
        self._events = log.events
        self._place = log.index_after(after)
        self._heartbeat = heartbeat
        self._onward = onward
        self._spoke_at = 0.0
        self._waiter: asyncio.Future[None] | None = None
        self._listening = False
        self._yonder: Follower | None = None

    @property
    def cursor(self) -> int:
        return self._place if self._yonder is None else self._yonder.cursor

    @property
    def listening(self) -> bool:
        return self._listening if self._yonder is None else self._yonder.listening

    def wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def batches(self) -> AsyncGenerator[Sequence[Recorded], None]:
        loop = asyncio.get_running_loop()
        self._spoke_at = loop.time()
        # One timer for all silences, moved when it fires: none is made and thrown away for each token.
        timer = Heartbeat(self, loop)
        try:
            while True:
                batch = portion(self._events, self._place)
                if batch:
                    self._place += len(batch)
                    yield batch
                    self._spoke_at = loop.time()
                elif self._log.ended or self._log.left:
                    break
                else:
                    self._waiter = loop.create_future()
                    self._listening = True
                    await self._waiter
                    self._listening = False
                    if len(self._events) == self._place and not self._log.left:
                        yield ()
        finally:
            timer.cancel()
        if self._log.left:
            async with aclosing(self._beyond()) as batches:
                async for batch in batches:
                    yield batch

    async def _beyond(self) -> AsyncGenerator[Sequence[Recorded], None]:
        run = self._onward()
        self._yonder = reader = run.attach(self._log.last_seq, self._heartbeat)
        try:
            async with aclosing(reader.batches()) as batches:
                async for batch in batches:
                    yield batch
        finally:
            run.detach(reader)

    def beat(self, now: float) -> float:
        """Wake after a silence; the time of the next look."""
        if now >= self._spoke_at + self._heartbeat:
            self._spoke_at = now
            self.wake()
        return self._spoke_at + self._heartbeat


def too_many_readers() -> TooManyRequests:
    message = f"At most {MAX_READERS} readers can follow one answer."
    return TooManyRequests("too_many_readers", message, retry_after=2)


def portion(events: Sequence[Recorded], start: int) -> Sequence[Recorded]:
    """What a reader takes at once of the events from there on; none if there are none."""
    batch = events[start : start + SLICE]
    if len(batch) < 2:
        return batch
    size = 0
    for count, one in enumerate(batch):
        if isinstance(one.event, AnswerDelta | ReasoningText):
            size += len(one.event.text)
        if size > LARGEST_BATCH and count:
            return batch[:count]
    return batch


class Heartbeat:
    """Looks after a reader's silences."""

    __slots__ = ("_loop", "_reader", "_timer")

    def __init__(self, reader: Reader, loop: asyncio.AbstractEventLoop) -> None:
        self._reader = reader
        self._loop = loop
        self._look()

    def _look(self) -> None:
        self._timer = self._loop.call_at(self._reader.beat(self._loop.time()), self._look)

    def cancel(self) -> None:
        self._timer.cancel()
