"""Providers that failed several times in a row are left alone for a while. Times are seconds of one clock."""

from dataclasses import dataclass
from typing import Final

FAILURES: Final = 5
"""In a row, after which a breaker opens."""
FIRST_PAUSE: Final = 5.0
LONGEST_PAUSE: Final = 300.0
PROBE_SECONDS: Final = 2.0
"""What is told to those who come while one call finds out whether the provider is back."""


@dataclass(slots=True)
class Breaker:
    """Closed: everybody calls. Open: nobody, until the pause is over. Then one call probes, and the others wait for it.

    The pause doubles with each opening, until a call is answered to its end.
    """

    failures: int = 0
    openings: int = 0
    until: float = 0.0
    probing: bool = False
    reason: str = ""
    """What the last failure said."""

    def pause(self, now: float) -> float:
        """Seconds to wait; 0 when a call may begin."""
        if self.failures < FAILURES:
            return 0.0
        if now < self.until:
            return self.until - now
        return PROBE_SECONDS if self.probing else 0.0

    def begin(self) -> bool:
        """A call begins, which `pause` allowed. Whether it is the probe, which must tell how it went."""
        self.probing = self.failures >= FAILURES
        return self.probing

    def spoke(self, *, probe: bool) -> None:
        """Its first word came: nobody waits for the last one. The next failure opens it again."""
        if probe and self.probing:
            self.probing = False
            self.failures = FAILURES - 1

    def answered(self) -> None:
        self.failures, self.openings, self.until, self.probing = 0, 0, 0.0, False

    def given_up(self, *, probe: bool) -> None:
        """It ended without saying anything of the provider: whoever comes next may probe."""
        if probe:
            self.probing = False

    def failed(self, now: float, reason: str, jitter: float, *, probe: bool, asked: float = 0.0) -> None:
        """`jitter`, from 0 to 1, shortens the pause by up to a quarter; `asked` is what the provider wants at least.

        Calls that began before it opened tell nothing new.
        """
        if self.failures >= FAILURES and not (probe and self.probing):
            return
        self.reason = reason
        self.failures += 1
        self.probing = False
        if self.failures >= FAILURES:
            pause = min(FIRST_PAUSE * 2 ** min(self.openings, 30), LONGEST_PAUSE)
            self.until = now + min(max(pause * (1 - jitter / 4), asked), LONGEST_PAUSE)
            self.openings += 1
