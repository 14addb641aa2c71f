"""Runs: answers in the making, apart from any socket. A run writes a log; any number of readers follow it."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from domain.chat_events import ChatEvent, LoopEvent, RoundFinished, RunFailed, RunFinished, TurnFinished
from domain.conversation import Usage
from domain.errors import DomainError, ModelError, TooManyRequests
from domain.ids import DialogId, MessageId, RunId, UserId
from domain.messages import AnswerStatus
from domain.transcript import Transcript

MAX_ANSWER_CHARS: Final = 2_000_000
"""Of text and reasoning together: a model that never stops must not fill the memory."""

SLICE: Final = 64
"""Events that a reader takes at a time: what one that is far behind holds in memory."""
MAX_READERS: Final = 16

OnCrash = Callable[[RunId, BaseException], None]
"""Told of an exception that no rule foresaw."""

Store = Callable[[Transcript, AnswerStatus], Awaitable[Sequence[ChatEvent]]]
"""Keeps the answer and gives the run's last events, RunFinished at their end."""


@dataclass(frozen=True, slots=True)
class RunKey:
    run_id: RunId
    user_id: UserId
    dialog_id: DialogId
    message_id: MessageId


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event in the log: `seq` counts from 1, `at` is seconds since 1970."""

    seq: int
    at: float
    event: ChatEvent


class Run:
    """One answer, its log and its readers."""

    def __init__(
        self,
        key: RunKey,
        events: AsyncGenerator[LoopEvent, None],
        store: Store,
        on_crash: OnCrash,
        *,
        grace_seconds: float | None,
        time_limit: float,
    ) -> None:
        self.key: Final = key
        self._events = events
        self._store = store
        self._on_crash = on_crash
        self._grace_seconds = grace_seconds
        self._time_limit = time_limit
        self._log: list[Recorded] = []
        self._readers: set[Reader] = set()
        self._task: asyncio.Task[None] | None = None
        self._producing = False
        self._ending: AnswerStatus | None = None
        self._leave_timer: asyncio.TimerHandle | None = None
        self.size = 0
        """Characters that the finished log holds on to, about."""

    @property
    def finished(self) -> bool:
        return _ended(self._log)

    @property
    def status(self) -> AnswerStatus:
        last = self._log[-1].event if self._log else None
        return last.status if isinstance(last, RunFinished) else AnswerStatus.RUNNING

    @property
    def last_seq(self) -> int:
        return len(self._log)

    def start(self) -> asyncio.Task[None]:
        self._task = asyncio.create_task(self._produce(), name=f"run {self.key.run_id}")
        return self._task

    def end(self, status: AnswerStatus) -> None:
        """Stop producing; what there is is kept under `status`. Only the first call counts."""
        if self._ending is None and not self.finished:
            self._ending = status
            if self._producing and self._task:
                self._task.cancel()

    async def wait(self) -> None:
        """Until the answer is kept."""
        if self._task:
            await asyncio.wait({self._task})

    def attach(self, after: int, heartbeat: float) -> "Reader":
        """A reader of what the log holds beyond `after`, and of what comes. Give it back to `detach`.

        Raises TooManyRequests `too_many_readers`.
        """
        if len(self._readers) >= MAX_READERS:
            message = f"At most {MAX_READERS} readers can follow one answer."
            raise TooManyRequests("too_many_readers", message, retry_after=2)
        reader = Reader(self._log, after, heartbeat)
        self._readers.add(reader)
        if self._leave_timer:
            self._leave_timer.cancel()
            self._leave_timer = None
        return reader

    def detach(self, reader: "Reader") -> None:
        """A reader is gone. After the last one the run has its grace to be taken up again, unless it runs alone."""
        self._readers.discard(reader)
        if self._readers or self.finished or self._grace_seconds is None:
            return
        if self._grace_seconds <= 0:
            self.end(AnswerStatus.INTERRUPTED)
        else:
            loop = asyncio.get_running_loop()
            self._leave_timer = loop.call_later(self._grace_seconds, self.end, AnswerStatus.INTERRUPTED)

    def _record(self, event: ChatEvent) -> None:
        log = self._log
        log.append(Recorded(len(log) + 1, time.time(), event))
        for reader in self._readers:
            reader.wake()

    async def _produce(self) -> None:
        transcript = Transcript()
        limit = asyncio.get_running_loop().call_later(self._time_limit, self._out_of_time)
        try:
            status = await self._consume(transcript)
        finally:
            limit.cancel()
            self._producing = False
            self.size = 2 * transcript.size
        for event in await self._kept(transcript, status):
            self._record(event)
        if self._leave_timer:
            self._leave_timer.cancel()

    async def _kept(self, transcript: Transcript, status: AnswerStatus) -> Sequence[ChatEvent]:
        """The last events, whatever happens: no reader waits for ever."""
        try:
            return await self._store(transcript, status)
        except Exception as error:  # noqa: BLE001 - a defect of ours ends this run alone, and is told
            self._on_crash(self.key.run_id, error)
        key, content = self.key, transcript.content
        lost = RunFailed("answer_not_stored", "The answer could not be stored.", retryable=True)
        return lost, RunFinished(
            AnswerStatus.FAILED, content, key.message_id, key.run_id, key.dialog_id, "", Usage(), (), None
        )

    async def _consume(self, transcript: Transcript) -> AnswerStatus:
        if self._ending:
            return self._ending
        self._producing = True
        try:
            async with aclosing(self._events) as events:
                async for event in events:
                    transcript.apply(event)
                    _refuse_endless(transcript)
                    if not isinstance(event, TurnFinished | RoundFinished):
                        self._record(event)
        except asyncio.CancelledError:
            if self._ending is None or (task := asyncio.current_task()) is None:
                raise
            task.uncancel()
            return self._ending
        except DomainError as error:
            return self._failed(transcript, error)
        except Exception as error:  # noqa: BLE001 - a defect of ours ends this run alone, and is told
            self._on_crash(self.key.run_id, error)
            return self._failed(transcript, ModelError("internal_error", "The answer failed on our side."))
        return AnswerStatus.COMPLETE

    def _failed(self, transcript: Transcript, error: DomainError) -> AnswerStatus:
        retryable = isinstance(error, ModelError) and error.retryable
        failure = RunFailed(error.code, error.message, retryable)
        transcript.apply(failure)
        self._record(failure)
        return AnswerStatus.FAILED

    def _out_of_time(self) -> None:
        if self._producing and self._ending is None:
            message = f"The answer took longer than {self._time_limit:g} seconds and was ended with what it had."
            self._record(RunFailed("run_time_limit", message, retryable=True))
            self.end(AnswerStatus.INTERRUPTED)


class Reader:
    """Follows a run's log from a cursor. It holds no events of its own, so a slow one costs nothing."""

    __slots__ = ("_heartbeat", "_log", "_spoke_at", "_waiter", "cursor", "listening")

    def __init__(self, log: Sequence[Recorded], after: int, heartbeat: float) -> None:
        self._log = log
        self.cursor = after
        self._heartbeat = heartbeat
        self._spoke_at = 0.0
        self._waiter: asyncio.Future[None] | None = None
        self.listening = False
        """Whether it has taken all there is, and waits for more."""

    def wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def batches(self) -> AsyncGenerator[Sequence[Recorded], None]:
        """Yield what is new, up to the last event. An empty batch says that nothing came for `heartbeat` seconds."""
        loop = asyncio.get_running_loop()
        self._spoke_at = loop.time()
        # One timer for all silences, moved when it fires: none is made and thrown away for each token.
        timer = Heartbeat(self, loop)
        try:
            while True:
                batch = self._log[self.cursor : self.cursor + SLICE]
                if batch:
                    self.cursor += len(batch)
                    yield batch
                    self._spoke_at = loop.time()
                elif _ended(self._log):
                    return
                else:
                    self._waiter = loop.create_future()
                    self.listening = True
                    await self._waiter
                    self.listening = False
                    if len(self._log) == self.cursor:
                        yield ()
        finally:
            timer.cancel()

    def beat(self, now: float) -> float:
        """Wake after a silence; the time of the next look."""
        if now >= self._spoke_at + self._heartbeat:
            self._spoke_at = now
            self.wake()
        return self._spoke_at + self._heartbeat


def _refuse_endless(transcript: Transcript) -> None:
    if transcript.size > MAX_ANSWER_CHARS:
        raise ModelError("answer_too_long", "The model did not stop: its answer was cut off.")


def _ended(log: Sequence[Recorded]) -> bool:
    return bool(log) and isinstance(log[-1].event, RunFinished)


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
