"""Servers that failed several times in a row are left alone for a while."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Final

FAILURES: Final = 3
FIRST_PAUSE: Final = 5.0
LONGEST_PAUSE: Final = 300.0
REMEMBERED: Final = 2_000


@dataclass(slots=True)
class Failing:
    failures: int = 0
    until: float = 0.0


class Breaker:
    """One for a process. `jitter` gives numbers from 0 to 1: not all who wait may come back at once."""

    def __init__(self, clock: Callable[[], float], jitter: Callable[[], float]) -> None:
        self._clock = clock
        self._jitter = jitter
        self._failing: dict[Hashable, Failing] = {}

    def pause(self, key: Hashable) -> float:
        """Seconds to wait; 0 when the server may be asked."""
        failing = self._failing.get(key)
        return 0.0 if failing is None else max(0.0, failing.until - self._clock())

    def failed(self, key: Hashable) -> None:
        failing = self._failing.pop(key, None) or Failing()
        failing.failures += 1
        over = failing.failures - FAILURES
        if over >= 0:
            # Shorter than the doubled one by up to a quarter, so that it never gets longer than the longest.
            pause = min(FIRST_PAUSE * 2 ** min(over, 30), LONGEST_PAUSE)
            failing.until = self._clock() + pause * (1 - self._jitter() / 4)
        self._failing[key] = failing
        if len(self._failing) > REMEMBERED:
            del self._failing[next(iter(self._failing))]

    def succeeded(self, key: Hashable) -> None:
        self._failing.pop(key, None)

    def forget(self, chosen: Callable[[Hashable], bool]) -> None:
        for key in [one for one in self._failing if chosen(one)]:
            del self._failing[key]
