"""Runs as the database knows them: who has which dialog, how far each is, and what it said.

Reads with `owner` prove the account as all of `persistence` do. What has no owner is for the upkeep of a process, never
for a request. Every write is atomic alone, so it may be called in `autocommit`, and again when its outcome is unknown.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from domain.chat.chat_events import KeptEvent, Recorded
from domain.dialogs.dialogs import Dialog
from domain.dialogs.messages import Answer, Question
from domain.ids import DialogId, RunId, UserId
from domain.runs.runs import Run


@dataclass(frozen=True, slots=True)
class Unseen:
    """What was kept since the event numbered `after`, and is shown with none yet."""

    after: int
    events: tuple[KeptEvent, ...]


@dataclass(frozen=True, slots=True)
class LogPiece:
    """A stretch of a run's log, its numbers without gaps. It is stored as one row, adjacent text joined.

    `unseen` lies beside the log, for whoever closes the run of a process that died: each takes the place of the one
    before it. A piece may have nothing else.
    """

    run_id: RunId
    events: tuple[Recorded, ...]
    unseen: Unseen | None = None

    @property
    def first_seq(self) -> int:
        return self.events[0].seq

    @property
    def last_seq(self) -> int:
        return self.events[-1].seq


class Runs(Protocol):
    async def open(self, run: Run, question: Question, answer: Answer, *, dialog: Dialog | None = None) -> None:
        """Store a run with its question and its open (running) answer, and `dialog` before them if given.

        In autocommit a connection that broke before the database's word came is no failure if they were stored.

        Raises Conflict `dialog_busy` when the dialog has another open run, even if both come at the same moment,
        Conflict `idempotency_key_taken` when the owner has a run of that key, Conflict `dialog_exists` when `dialog`
        does; NotFound when there is no dialog. Which of several Conflicts is told is open.
        """
        ...

    async def get(self, run_id: RunId, *, owner: UserId) -> Run:
        """With `last_seq`, in one statement. Raises NotFound."""
        ...

    async def open_in(self, dialog_id: DialogId, *, owner: UserId) -> Run:
        """The open run of a dialog, in one statement. Raises NotFound `run_not_found`."""
        ...

    async def by_key(self, key: str, *, owner: UserId) -> Run | None:
        """The run that was started under an idempotency key, in one statement."""
        ...

    async def release_key(self, run_id: RunId) -> None:
        """Forget the run's idempotency key: it was given longer ago than keys are kept."""
        ...

    async def begun(self, run_ids: Sequence[RunId]) -> None:
        """From queued to running; runs in any other state stay as they are."""
        ...

    async def append(self, pieces: Sequence[LogPiece]) -> Mapping[RunId, bool]:
        """Add pieces to the logs of runs that are open, in one statement on a server. One piece of a run a call.

        A run that was closed gets nothing, also when its closing comes at the same moment. A piece that is there
        already (by its first number) stays as it is. Of the runs that are open: whether each was asked to stop.
        """
        ...

    async def log(self, run_id: RunId, after: int, limit: int) -> Sequence[Recorded]:
        """Events numbered above `after`, in order, as they were appended: of at most `limit` pieces, each to its end.

        `after` may lie inside of a piece. The caller has proved that the run is theirs. Nothing when there is no log.
        """
        ...

    async def unseen(self, run_id: RunId) -> Unseen | None:
        """The last one that was appended. It tells nothing new once the log went on behind it."""
        ...

    async def close(self, answer: Answer, pieces: Sequence[LogPiece], *, owner: UserId) -> bool:
        """Close an open run: its end, its finished answer, the rest of its log, the dialog touched, all or nothing.

        With its attempts, which the ledger of usage keeps then, under the agent that answered.

        Pieces that are there already stay as they are. False, and nothing changed, when it was closed otherwise or
        removed: exactly one closer wins. The same closing again is True and changes nothing.
        """
        ...

    async def renew(self, run_ids: Sequence[RunId], lease_until: datetime) -> Mapping[RunId, bool]:
        """Renew leases. Of the runs that are open: whether each was asked to stop. A lease never gets shorter."""
        ...

    async def follow(self, run_id: RunId, until: datetime) -> None:
        """A reader at this process follows an open run of another one until then, at least."""
        ...

    async def request_stop(self, run_id: RunId) -> None:
        """Ask the process that makes it to end an open run. The caller has proved that the run is theirs."""
        ...

    async def abandoned(self, now: datetime, limit: int) -> Sequence[Run]:
        """Open runs whose lease ran out before `now`, of all owners, the oldest first; with `last_seq`."""
        ...

    async def hold_abandoned(self, run_id: RunId, now: datetime) -> bool:
        """In a transaction, to its end: let nobody add to the run's log, nor renew, close or hold it.

        False when its lease did not run out before `now`, or it was closed or removed, or somebody else holds it.
        """
        ...

    async def remove_logs(self, closed_before: datetime, limit: int) -> int:
        """Remove the logs of runs that were closed before; of at most `limit` runs a call. How many had one."""
        ...

    async def remove(self, closed_before: datetime, limit: int) -> int:
        """Forget runs that were closed before, with their logs; at most `limit` a call. Their messages stay."""
        ...
