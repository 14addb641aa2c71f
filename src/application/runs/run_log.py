"""The log of a run that this process makes: all of it in memory, and how much of it is stored."""

import time
from collections.abc import Sequence
from typing import Final

from application.ports.runs import LogPiece, Unseen
from domain.chat.chat_events import ChatEvent, KeptEvent, Recorded, RunFinished, ToolProgress
from domain.dialogs.messages import StepStatus
from domain.ids import RunId

MAX_PIECE: Final = 4096
"""Events of one piece: what a long outage left to write is written in such portions."""


class RunLog:
    """`events` only ever grows. What is written behind it never changes its boundaries until it is acknowledged.

    So a piece whose fate is unknown can be sent again, by whoever comes first.
    """

    __slots__ = ("_beside", "_kept", "_sent", "_written", "events", "left", "run_id", "unwritable")

    def __init__(self, run_id: RunId, stored: Sequence[Recorded] = ()) -> None:
        """`stored` is all that it held when it was left: it goes on behind that."""
        self.run_id = run_id
        self.events: list[Recorded] = list(stored)
        self._kept: tuple[KeptEvent, ...] = ()
        self._written = len(stored)
        self._beside: Unseen | None = None
        """Of what was kept: how far it is stored before anything is shown with it."""
        self.left = False
        """Whether its run waits for a person: this log is whole, and goes on elsewhere."""
        self._sent: LogPiece | None = None
        self.unwritable = False
        """Set when a piece of it can't be written: then it is stored with its end or not at all, but without holes."""

    @property
    def ended(self) -> bool:
        return bool(self.events) and isinstance(self.events[-1].event, RunFinished)

    @property
    def last_seq(self) -> int:
        return self.events[-1].seq if self.events else 0

    @property
    def ended_elsewhere(self) -> bool:
        """Whether another process closed the run: then this log may hold more than the stored one."""
        return self.last_seq > len(self.events)

    def record(self, event: ChatEvent) -> None:
        events = self.events
        events.append(Recorded(len(events) + 1, time.time_ns() // 1_000_000, event, self._kept))
        self._kept = ()

    def keep(self, event: KeptEvent) -> None:
        """It is stored with the next event that is shown, and beside the log until there is one."""
        self._kept = (*self._kept, event)

    def index_after(self, seq: int) -> int:
        """Where those stand that a reader of `seq` does not have."""
        count = len(self.events)
        return count if seq >= self.last_seq else min(seq, count - 1)

    def stamped(self, events: Sequence[ChatEvent]) -> tuple[Recorded, ...]:
        """As the next events, not yet in the log: nobody is shown the end before it is stored."""
        first, now = len(self.events) + 1, time.time_ns() // 1_000_000
        return tuple(
            Recorded(first + index, now, event, () if index else self._kept) for index, event in enumerate(events)
        )

    def go_on(self, stamped: Sequence[Recorded]) -> None:
        """Show what was stamped, and is stored."""
        self.events.extend(stamped)
        self._kept = ()

    def next_piece(self) -> LogPiece | None:
        """What is to be written next: the piece that was not acknowledged, else what came since."""
        if self.unwritable:
            return None
        if self._sent is None:
            stretch = self.events[self._written : self._written + MAX_PIECE]
            unseen = self._unseen() if self._written + len(stretch) == len(self.events) else None
            if stretch or unseen:
                self._sent = LogPiece(self.run_id, tuple(stretch), unseen)
        return self._sent

    def _unseen(self) -> Unseen | None:
        """None where there is nothing new."""
        unseen = Unseen(len(self.events), self._kept)
        return unseen if self._kept and unseen != self._beside else None

    def acknowledge(self, piece: LogPiece) -> None:
        if piece is self._sent:
            self._written = piece.last_seq if piece.events else self._written
            self._beside = piece.unseen or self._beside
            self._sent = None

    def rest(self, last: Sequence[Recorded]) -> list[LogPiece]:
        """All that is not known to be stored, and `last` after it."""
        sent = self._sent.events if self._sent else ()
        pieces = [LogPiece(self.run_id, sent)] if sent else []
        begin = sent[-1].seq if sent else self._written
        stretch = [*self.events[begin:], *last]
        pieces += [
            LogPiece(self.run_id, tuple(stretch[start : start + MAX_PIECE]))
            for start in range(0, len(stretch), MAX_PIECE)
        ]
        return pieces


def asks(event: ChatEvent) -> bool:
    """Whether it asks a person for their word."""
    return isinstance(event, ToolProgress) and event.step.status is StepStatus.APPROVAL
