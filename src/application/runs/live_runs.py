"""Runs that this process makes: answers in the making, apart from any socket. A run writes a log, readers follow it."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from application.runs.run_log import RunLog, asks
from application.runs.run_readers import MAX_READERS, Followed, Follower, Reader, too_many_readers
from domain.chat.chat_events import ChatEvent, KeptEvent, LoopEvent, Recorded, RunFailed, RunFinished
from domain.chat.transcript import Transcript
from domain.conversation.conversation import Usage
from domain.dialogs.messages import AnswerStatus
from domain.errors import DomainError, ModelError
from domain.ids import RunId
from domain.runs.pauses import RunPause
from domain.runs.runs import MAX_EVENTS, Run

MAX_ANSWER_CHARS: Final = 2_000_000
"""Of text and reasoning together: a model that never stops must not fill the memory."""

FIRST_READER_SECONDS: Final = 15.0
"""For whoever asked to begin reading."""
BYTES_PER_EVENT: Final = 240

OnCrash = Callable[[RunId, BaseException], None]
"""Told of an exception that no rule foresaw."""

Store = Callable[[Transcript, AnswerStatus, RunLog], Awaitable[Sequence[Recorded]]]
"""Keeps the answer and gives the run's last events, RunFinished at their end."""

Elsewhere = Callable[[Run], Awaitable[float]]
"""For how many more seconds a reader at another process is known to follow the run."""

Park = Callable[[RunPause, RunLog, Sequence[Recorded]], Awaitable[bool]]
"""Stores all that a run needs to go on, and last events. False when it was stopped, or closed by another process."""

Onward = Callable[[Run], Followed]
"""Where readers of a run go on that this process left."""


@dataclass(frozen=True, slots=True)
class RunKeeping:
    """What a live run asks of the rest of the process."""

    store: Store
    park: Park
    elsewhere: Elsewhere
    onward: Onward
    on_crash: OnCrash


@dataclass(frozen=True, slots=True)
class RunLimits:
    """Seconds that a run may take, and that it waits for a reader to come back; None: it needs no reader."""

    time_limit: float
    grace_seconds: float | None


class LiveRun:
    """One answer, its log and its readers."""

    def __init__(
        self,
        run: Run,
        events: AsyncGenerator[LoopEvent | RunPause, None],
        keeping: RunKeeping,
        limits: RunLimits,
        log: RunLog | None = None,
        transcript: Transcript | None = None,
    ) -> None:
        """`log` and `transcript` are those of a run that goes on."""
        self._state = run
        self._events = events
        self._keeping = keeping
        self._limits = limits
        self.log: Final = log or RunLog(run.run_id)
        self._transcript: Final = transcript or Transcript()
        self._readers: set[Reader] = set()
        self._task: asyncio.Task[None] | None = None
        self._producing = False
        self._ending: AnswerStatus | None = None
        self._asking: list[ChatEvent] = []
        self._leave_timer: asyncio.TimerHandle | None = None
        self._leaving: asyncio.Task[None] | None = None
        self.closing = False
        """Whether it has come to its end, and is being stored."""
        self.announced = False
        """Whether the database knows that it is running."""
        self.size = 0
        """Bytes that the finished log holds on to, about."""

    @property
    def state(self) -> Run:
        return self._state

    @property
    def finished(self) -> bool:
        return self.log.ended

    def start(self) -> asyncio.Task[None]:
        self._task = asyncio.create_task(self._produce(), name=f"run {self.state.run_id}")
        if self._limits.grace_seconds is not None and not self._readers:
            self._leave_in(max(self._limits.grace_seconds, FIRST_READER_SECONDS))
        return self._task

    def crashed(self, defect: BaseException) -> None:
        """Tell of a defect of ours; nobody who reads is left waiting."""
        self._keeping.on_crash(self.state.run_id, defect)
        if not self.finished:
            self._finish(self._lost(""))

    def renewed(self, lease_until: datetime) -> None:
        if self._state.is_open:
            self._state = self._state.renew(lease_until)

    def end(self, status: AnswerStatus) -> None:
        """Stop producing; what there is is kept under `status`. Only the first call counts."""
        if self._ending is None and not self.finished:
            self._ending = status
            if self._producing and self._task:
                self._task.cancel()

    async def wait(self, patience: float | None = None) -> None:
        """Until the answer is kept, or so many seconds."""
        if self._task:
            await asyncio.wait({self._task}, timeout=patience)

    def attach(self, after: int, heartbeat: float) -> Reader:
        if len(self._readers) >= MAX_READERS:
            raise too_many_readers()
        reader = Reader(self.log, after, heartbeat, self._yonder)
        self._readers.add(reader)
        self._stay()
        return reader

    def detach(self, reader: Follower) -> None:
        """A reader is gone. After the last one the run has its grace to be taken up again, unless it runs alone."""
        if isinstance(reader, Reader):
            self._readers.discard(reader)
        if not self._readers and not self.finished and not self.log.left and self._limits.grace_seconds is not None:
            self._leave_in(self._limits.grace_seconds)

    def _yonder(self) -> Followed:
        return self._keeping.onward(replace(self._state, last_seq=self.log.last_seq))

    def _leave_in(self, seconds: float) -> None:
        self._stay()
        self._leave_timer = asyncio.get_running_loop().call_later(seconds, self._leave)

    def _stay(self) -> None:
        if self._leave_timer:
            self._leave_timer.cancel()
            self._leave_timer = None

    def _leave(self) -> None:
        self._leaving = asyncio.create_task(self._end_unless_followed())

    async def _end_unless_followed(self) -> None:
        try:
            followed_for = await self._keeping.elsewhere(self._state)
        except Exception as defect:  # noqa: BLE001 - a run that nobody reads must end all the same
            self._keeping.on_crash(self.state.run_id, defect)
            followed_for = 0.0
        if self._readers or self.closing:
            return
        if followed_for > 0:
            self._leave_in(followed_for)
        else:
            self.end(AnswerStatus.INTERRUPTED)

    def _record(self, event: ChatEvent) -> None:
        if not self.log.events:
            self._state = self._state.begin()
        self.log.record(event)
        for reader in self._readers:
            reader.wake()

    def _take(self, event: LoopEvent) -> None:
        self._transcript.apply(event)
        _refuse_endless(self._transcript, self.log)
        if isinstance(event, KeptEvent):
            self.log.keep(event)
        elif asks(event):
            self._asking.append(event)
        else:
            self._record(event)

    async def _produce(self) -> None:
        transcript = self._transcript
        limit = asyncio.get_running_loop().call_later(self._limits.time_limit, self._out_of_time)
        try:
            outcome = await self._consume(transcript)
        finally:
            limit.cancel()
            self._producing = False
            self.closing = True
            self.size = 2 * transcript.size + BYTES_PER_EVENT * len(self.log.events)
        status = await self._left(outcome) if isinstance(outcome, RunPause) else outcome
        if status is not None:
            self._finish(await self._kept(transcript, status))

    async def _left(self, pause: RunPause) -> AnswerStatus | None:
        """None when it waits for a person now, and nothing is left to do here; else how it ends."""
        try:
            parked = await self._parked(pause)
        except Exception as error:  # noqa: BLE001 - what can't be stored can't be gone on with
            if not isinstance(error, DomainError):
                self._keeping.on_crash(self.state.run_id, error)
            return self._failed(self._transcript, ModelError("answer_not_stored", "The answer could not be stored."))
        if not parked or self._ending is AnswerStatus.STOPPED:
            return AnswerStatus.STOPPED
        self.log.left = True
        self._stay()
        for reader in self._readers:
            reader.wake()
        return None

    async def _parked(self, pause: RunPause) -> bool:
        """The person is asked once it waits: they may answer in that moment. It may be stored whatever comes of it."""
        asking = self.log.stamped(self._asking)
        try:
            return await self._keeping.park(pause, self.log, asking)
        finally:
            self._state = self._state.begin()
            self.log.go_on(asking)

    def _finish(self, last: Sequence[Recorded]) -> None:
        self.log.events.extend(last)
        done = last[-1]
        if isinstance(done.event, RunFinished):
            self._state = self._state.close(done.event.status, datetime.fromtimestamp(done.at / 1000, UTC))
        for reader in self._readers:
            reader.wake()
        self._stay()

    async def _kept(self, transcript: Transcript, status: AnswerStatus) -> Sequence[Recorded]:
        """The last events, whatever happens: no reader waits for ever."""
        try:
            if last := await self._keeping.store(transcript, status, self.log):
                return last
        except Exception as error:  # noqa: BLE001 - a defect of ours ends this run alone, and is told
            self._keeping.on_crash(self.state.run_id, error)
        return self._lost(transcript.content)

    def _lost(self, content: str) -> Sequence[Recorded]:
        state = self._state
        lost = RunFailed("answer_not_stored", "The answer could not be stored.", retryable=True)
        done = RunFinished(
            AnswerStatus.FAILED, content, state.message_id, state.run_id, state.dialog_id, "", Usage(), (), None
        )
        return self.log.stamped((lost, done))

    async def _consume(self, transcript: Transcript) -> AnswerStatus | RunPause:
        if self._ending:
            return self._ending
        self._producing = True
        try:
            async with aclosing(self._events) as events:
                async for event in events:
                    if isinstance(event, RunPause):
                        return event
                    self._take(event)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or not task.cancelling():
                # Nobody cancelled us: a model or a tool let a cancellation of its own escape.
                return self._failed(transcript, ModelError("internal_error", "The answer failed on our side."))
            if self._ending is None:
                raise
            task.uncancel()
            return self._ending
        except DomainError as error:
            return self._failed(transcript, error)
        except Exception as error:  # noqa: BLE001 - a defect of ours ends this run alone, and is told
            self._keeping.on_crash(self.state.run_id, error)
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
            limit = self._limits.time_limit
            message = f"The answer took longer than {limit:g} seconds and was ended with what it had."
            self._record(RunFailed("run_time_limit", message, retryable=True))
            self.end(AnswerStatus.INTERRUPTED)


def _refuse_endless(transcript: Transcript, log: RunLog) -> None:
    if transcript.size > MAX_ANSWER_CHARS or len(log.events) > MAX_EVENTS:
        raise ModelError("answer_too_long", "The model did not stop: its answer was cut off.")
