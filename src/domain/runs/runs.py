"""Runs: one answer in the making, whichever process makes it, and the numbers that say how far a reader is."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from domain.dialogs.messages import AnswerStatus
from domain.errors import InvalidValue, NotFound
from domain.ids import DialogId, MessageId, RunId, UserId

LOST_NUMBERS: Final = 10_000_000
"""Numbers left free before the last event of a run that another process closed.

Its own process may have shown events that it never stored. A reader who has those is neither before nor after the end.
"""
MAX_EVENTS: Final = LOST_NUMBERS // 2
"""Of one run: its numbers never reach the one that another process would end it by."""
KEY_MAX: Final = 255
KEY_LIFETIME: Final = timedelta(hours=24)


class RunStatus(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    """For a person's word on a tool call: no process makes it now."""
    COMPLETE = "complete"
    STOPPED = "stopped"
    INTERRUPTED = "interrupted"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Idempotency:
    """The key that a client gave a request, and the digest of what it asked."""

    key: str
    digest: str

    def covers(self, digest: str) -> None:
        """Raises InvalidValue `idempotency_key_reused` when it was something else that was asked under the key."""
        if digest != self.digest:
            message = "was used for a different request: take a new key for each question"
            raise InvalidValue("Idempotency-Key", message, code="idempotency_key_reused")


@dataclass(frozen=True, slots=True)
class Run:
    """Open until it is closed, once. Its process shows that it lives by renewing the lease."""

    run_id: RunId
    user_id: UserId
    dialog_id: DialogId
    message_id: MessageId
    status: RunStatus
    created_at: datetime
    lease_until: datetime
    idempotency: Idempotency | None = None
    stop_requested: bool = False
    followed_until: datetime | None = None
    """Until when a reader at another process is sure to follow it."""
    closed_at: datetime | None = None
    last_seq: int = 0
    """The last event that the stored log holds."""

    @property
    def is_open(self) -> bool:
        return self.closed_at is None

    def begin(self) -> "Run":
        self._still_open()
        return replace(self, status=RunStatus.RUNNING)

    def renew(self, lease_until: datetime) -> "Run":
        """A lease never gets shorter."""
        self._still_open()
        return replace(self, lease_until=max(self.lease_until, lease_until))

    def resume(self, lease_until: datetime) -> "Run":
        """It waited for a person, with a longer lease. Raises ValueError for one that did not."""
        if self.status is not RunStatus.WAITING:
            raise ValueError(f"run {self.run_id} does not wait")
        return replace(self, status=RunStatus.RUNNING, lease_until=lease_until)

    def ask_to_stop(self) -> "Run":
        self._still_open()
        return replace(self, stop_requested=True)

    def close(self, status: AnswerStatus, now: datetime) -> "Run":
        """Raises ValueError the second time, as every other change of a closed run."""
        self._still_open()
        if status is AnswerStatus.RUNNING:
            raise ValueError("a run does not end as running")
        return replace(self, status=RunStatus(status.value), closed_at=now)

    def is_abandoned(self, now: datetime) -> bool:
        return self.is_open and self.lease_until < now

    @property
    def status_if_abandoned(self) -> AnswerStatus:
        """How the run ends when its process died: as it was asked to, or in the middle."""
        return AnswerStatus.STOPPED if self.stop_requested else AnswerStatus.INTERRUPTED

    def followed_for(self, now: datetime) -> float:
        """For how many more seconds somebody is sure to follow it at another process."""
        return 0.0 if self.followed_until is None else max(0.0, (self.followed_until - now).total_seconds())

    def honours(self, key: str, now: datetime) -> bool:
        """Whether a repeat under this key still means this run."""
        given = self.idempotency
        return given is not None and given.key == key and now < self.created_at + KEY_LIFETIME

    def _still_open(self) -> None:
        if not self.is_open:
            raise ValueError(f"run {self.run_id} has ended")


def parse_run_id(raw: str) -> RunId:
    """Raises NotFound for what can't be the id of a run."""
    if not (raw.isascii() and raw.isalnum()):
        raise NotFound("run", raw)
    return RunId(raw)


def parse_idempotency_key(raw: str) -> str:
    """1-255 visible ASCII characters."""
    if not 1 <= len(raw) <= KEY_MAX or not all("!" <= char <= "~" for char in raw):
        raise InvalidValue("Idempotency-Key", f"must be 1 to {KEY_MAX} visible ASCII characters without spaces")
    return raw


def event_id(run_id: RunId, seq: int) -> str:
    """The `id` of a frame."""
    return f"{run_id}:{seq}"


def parse_event_id(run_id: RunId, raw: str | None) -> int:
    """The number of the last event that a reader has; 0 for one that has none.

    Raises InvalidValue for an id of no event of this run.
    """
    if not raw:
        return 0
    name, _, number = raw.rpartition(":")
    if name != run_id or not (number.isascii() and number.isdigit()) or len(number) > 9:
        raise InvalidValue("Last-Event-ID", "is not the id of an event of this run")
    return int(number)


def refuse_beyond(seq: int, last_seq: int) -> None:
    """Raises InvalidValue when no event of this number can have been shown."""
    if seq > last_seq:
        raise InvalidValue("Last-Event-ID", "is beyond the last event of this run")


def seq_after_crash(last_seq: int) -> int:
    """The number of the event that ends a run whose process died after it stored `last_seq`."""
    return last_seq + LOST_NUMBERS
