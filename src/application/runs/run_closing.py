"""The end of a run: its answer is stored with the rest of its log, exactly once, whoever closes it."""

import asyncio
import math
from collections.abc import AsyncGenerator, Callable, Collection, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

from application.ports.clock import Clock
from application.ports.persistence import Transaction, Transactions
from application.ports.runs import LogPiece
from application.runs.run_log import RunLog
from domain.chat.chat_events import AttemptBegan, AttemptEnded, ChatEvent, Recorded, RunFailed, RunFinished
from domain.chat.transcript import Transcript
from domain.conversation.conversation import FinishReason
from domain.dialogs.messages import Answer, AnswerStatus
from domain.errors import DomainError, NotFound, Unauthenticated
from domain.ids import RunId, UserId
from domain.models.attempts import Attempt
from domain.runs.runs import Run, RunStatus, seq_after_crash

PATIENCE_SECONDS: Final = 60.0
"""How long a finished answer waits for a database that is away."""
LONGEST_PAUSE: Final = 1.0
SWEEP: Final = 100
"""Abandoned runs that one look takes on."""
PIECES: Final = 64
"""Of a log, read at once."""
END_OF_TIME: Final = datetime.max.replace(tzinfo=UTC)

NOT_STORED: Final = "answer_not_stored"

OnStoreTrouble = Callable[[RunId, Exception], None]
OnUsed = Callable[[Sequence[Attempt]], None]
"""Told of attempts, once, when they are in the ledger."""


def _nobody(_: Sequence[Attempt]) -> None: ...


@dataclass(frozen=True, slots=True)
class KeepAnswer:
    """Stores the answer of a run that this process made. Tried again while the database is away."""

    transactions: Transactions
    beside: Callable[[Coroutine[Any, Any, object]], None]
    """Does something that nobody waits for."""
    on_trouble: OnStoreTrouble
    first_pause: float = 0.2
    patience: float = PATIENCE_SECONDS
    used: OnUsed = _nobody

    async def __call__(self, answer: Answer, log: RunLog, *, owner: UserId) -> tuple[Recorded, ...]:
        """The run's last events: the stored ones if another process closed it.

        When the patience ran out the answer is told as failed, and that is what is stored as soon as it can be.
        """
        last = log.stamped((finished(answer),))
        if kept := await self._stored(answer, log, log.rest(last), last, owner, self.patience):
            return kept
        failed = replace(answer, status=AnswerStatus.FAILED, failure=NOT_STORED)
        lost = log.stamped(_lost(failed, "The answer could not be stored: the database is away.", retryable=True))
        self.beside(self._stored(failed, log, log.rest(lost), lost, owner, math.inf))
        return lost

    async def _stored(
        self,
        answer: Answer,
        log: RunLog,
        pieces: Sequence[LogPiece],
        last: tuple[Recorded, ...],
        owner: UserId,
        patience: float,
    ) -> tuple[Recorded, ...] | None:
        """None when it could not be done in time."""
        loop = asyncio.get_running_loop()
        give_up, pause, told = loop.time() + patience, self.first_pause, False
        while True:
            try:
                async with self.transactions.autocommit() as tx:
                    if await tx.runs.close(answer, pieces, owner=owner):
                        self.used(answer.attempts)
                        return last
                    return await _ended_elsewhere(tx, answer, log, owner)
            except DomainError as trouble:
                if not told:
                    self.on_trouble(answer.run_id, trouble)
                    told = True
                if trouble.retry_after is None or loop.time() > give_up:
                    return None
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)


async def _ended_elsewhere(tx: Transaction, answer: Answer, log: RunLog, owner: UserId) -> tuple[Recorded, ...]:
    # What it used is paid for all the same: whoever closed it knows less of it, or nothing.
    await tx.ledger.keep_used(answer, owner=owner)
    try:
        run = await tx.runs.get(answer.run_id, owner=owner)
        return (await stored_end(tx, run, log.last_seq),)
    except (NotFound, Unauthenticated):
        # Nobody misses a stopped answer whose dialog was deleted: that is why it was stopped.
        if answer.status is AnswerStatus.STOPPED:
            return log.stamped((finished(answer),))
        why = "The answer could not be stored: its dialog is gone."
        return log.stamped(_lost(answer, why, retryable=False))


async def stored_end(tx: Transaction, run: Run, shown_seq: int) -> Recorded:
    """The last event of a closed run: from its log, or from its message when the log is gone. Raises NotFound."""
    last = await tx.runs.log(run.run_id, max(0, run.last_seq - 1), 1)
    if last and isinstance(last[-1].event, RunFinished):
        return last[-1]
    answer = await tx.messages.get(run.message_id, owner=run.user_id)
    if not isinstance(answer, Answer):
        raise NotFound("run", run.run_id)
    ended = run.closed_at or answer.created_at
    return Recorded(seq_after_crash(shown_seq), int(ended.timestamp() * 1000), finished(answer))


@dataclass(frozen=True, slots=True)
class CloseAbandoned:
    """Closes the runs of processes that died, with the text that their logs hold. Any process may, at any time."""

    transactions: Transactions
    clock: Clock
    on_trouble: OnStoreTrouble
    _stuck: set[RunId] = field(default_factory=set)

    async def __call__(self, now: datetime, *, but: Collection[RunId] = ()) -> int:
        """How many were closed, of those whose lease ran out before `now`; none of those that are known to live."""
        left_alone = self._stuck.union(but)
        async with self.transactions.autocommit() as tx:
            abandoned = await tx.runs.abandoned(now, SWEEP + len(left_alone))
        return sum([await self._attempt(run, now) for run in abandoned if run.run_id not in left_alone])

    async def all_unless_waiting(self) -> None:
        """For a process that begins and is the only one: what is open waits for a person, or belongs to a dead one."""
        left_alone: set[RunId] = set()
        while True:
            async with self.transactions.autocommit() as tx:
                found = await tx.runs.abandoned(END_OF_TIME, SWEEP + len(left_alone))
            known = len(left_alone)
            for run in found:
                waits = run.status is RunStatus.WAITING and not run.stop_requested
                if run.run_id not in left_alone and (waits or not await self._attempt(run, END_OF_TIME)):
                    left_alone.add(run.run_id)
            if len(found) <= known:
                return

    async def one(self, run: Run, now: datetime) -> bool:
        """False when it lives, or somebody else was first."""
        async with self.transactions.begin() as tx:
            return await tx.runs.hold_abandoned(run.run_id, now) and await self._close(tx, run)

    async def waiting(self, run: Run) -> bool:
        """Close a run that waits for a person, as it was asked to. False when it goes on, or was closed meanwhile."""
        async with self.transactions.begin() as tx:
            return await tx.pauses.hold(run.run_id) and await self._close(tx, run)

    async def _close(self, tx: Transaction, run: Run) -> bool:
        opened = await tx.messages.get(run.message_id, owner=run.user_id)
        if not isinstance(opened, Answer):
            raise TypeError(f"message {run.message_id} is no answer")
        now = self.clock.now()
        transcript, last_seq, heard_at = await _so_far(tx, run)
        answer = transcript.close(opened, run.status_if_abandoned, now, heard_at)
        done = Recorded(seq_after_crash(last_seq), int(now.timestamp() * 1000), finished(answer))
        return await tx.runs.close(answer, [LogPiece(run.run_id, (done,))], owner=run.user_id)

    async def _attempt(self, run: Run, now: datetime) -> bool:
        """One that can't be closed does not stand in the way of the others: this process leaves it alone then."""
        try:
            return await self.one(run, now)
        except DomainError as trouble:
            if trouble.retry_after is not None:
                raise
            self._give_up(run, trouble)
        except Exception as trouble:  # noqa: BLE001 - a defect with one run is told, and the others are closed
            self._give_up(run, trouble)
        return False

    def _give_up(self, run: Run, trouble: Exception) -> None:
        self._stuck.add(run.run_id)
        self.on_trouble(run.run_id, trouble)


async def _so_far(tx: Transaction, run: Run) -> tuple[Transcript, int, int | None]:
    """What was stored of it, the number of its last event, and when it was heard of last."""
    transcript, last_seq, heard_at = Transcript(), 0, None
    async for recorded in stored_log(tx, run):
        replay(transcript, recorded)
        last_seq, heard_at = recorded[-1].seq, recorded[-1].at
    unseen = await tx.runs.unseen(run.run_id)
    for event in unseen.events if unseen and unseen.after == last_seq else ():
        transcript.apply(event)
        if isinstance(event, AttemptBegan | AttemptEnded):
            heard_at = max(heard_at or 0, event.attempt.at + event.attempt.duration_ms)
    return transcript, last_seq, heard_at


async def stored_log(tx: Transaction, run: Run) -> AsyncGenerator[Sequence[Recorded], None]:
    """All of it, from the first event, in portions."""
    last_seq = 0
    while recorded := await tx.runs.log(run.run_id, last_seq, PIECES):
        yield recorded
        last_seq = recorded[-1].seq


def replay(transcript: Transcript, recorded: Sequence[Recorded]) -> None:
    for one in recorded:
        for event in (*one.kept, one.event):
            if not isinstance(event, RunFinished):
                transcript.apply(event)


def finished(answer: Answer) -> RunFinished:
    return RunFinished(
        status=answer.status,
        content=answer.content,
        message_id=answer.message_id,
        run_id=answer.run_id,
        dialog_id=answer.dialog_id,
        model=answer.model,
        usage=answer.usage,
        citations=answer.citations,
        finish_reason=None if answer.finish_reason is None else FinishReason(answer.finish_reason),
    )


def _lost(answer: Answer, why: str, *, retryable: bool) -> tuple[ChatEvent, ...]:
    return RunFailed(NOT_STORED, why, retryable), finished(replace(answer, status=AnswerStatus.FAILED))
