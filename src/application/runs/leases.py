"""Leases: by them a process shows that it lives, and others learn that it died. All compare them by one clock."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


@dataclass(slots=True)
class Leases:
    """`seconds` is how long a run counts as alive without a sign of its process.

    Between two looks at the shared clock the time is told by a clock that nobody sets.
    """

    seconds: float
    _seen: datetime | None = None
    _seen_at: float = 0.0
    _judges_from: datetime | None = None

    def saw(self, shared_now: datetime) -> None:
        """What the shared clock shows now.

        After a gap (the database was away, the machine slept, the process hung) nobody judges for a lease: whoever made
        runs meanwhile could renew nothing either. A process that begins knows of no gap, and waits as well.
        """
        length = timedelta(seconds=self.seconds)
        if self._seen is None or self._judges_from is None or abs(shared_now - self._seen) > length / 2:
            self._judges_from = shared_now + length
        self._seen, self._seen_at = shared_now, time.monotonic()

    def lose_touch(self) -> None:
        """The database could not be written: nobody else could renew either, as long as that lasts."""
        self._judges_from = None

    def now(self) -> datetime:
        if self._seen is None:
            return datetime.now(UTC)
        return self._seen + timedelta(seconds=time.monotonic() - self._seen_at)

    def until(self) -> datetime:
        return self.now() + timedelta(seconds=self.seconds)

    @property
    def may_judge(self) -> bool:
        """Whether a lease that ran out means that its process died.

        Not after a gap that the shared clock has yet to tell of: the first thing that a process does may be to judge.
        """
        in_a_gap = time.monotonic() - self._seen_at > self.seconds / 2
        return not in_a_gap and self._judges_from is not None and self.now() >= self._judges_from
