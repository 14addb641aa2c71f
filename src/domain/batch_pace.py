"""How many texts to give to a model at once: so many that it takes a few seconds, on whatever machine it runs."""

from dataclasses import dataclass, field
from typing import Final

FIRST: Final = 4
SECONDS: Final = 4.0
_CLEARLY: Final = 1.5


@dataclass(slots=True)
class BatchPace:
    """`size` is how many to give next: from 1 to `most`, which are worth one call.

    It doubles after a call that took less than half of `seconds`, and is halved after one that took longer than these.
    A call that costs the same for many as for few, as one that waits for its turn at a provider, is not made smaller:
    that would only make more of them.
    """

    most: int
    seconds: float = SECONDS
    size: int = field(init=False)
    _last: tuple[int, float] | None = None
    """How many were given last, and what each of them cost."""

    def __post_init__(self) -> None:
        self.most = max(self.most, 1)
        self.size = min(FIRST, self.most)

    def took(self, count: int, seconds: float) -> None:
        if count < 1:
            return
        cost = seconds / count
        if seconds > self.seconds:
            self.size = self._more(count) if self._more_cost_less(count, cost) else max(1, count // 2)
        elif 2 * seconds < self.seconds and count >= self.size:
            self.size = self._more(count)
        self._last = count, cost

    def failed(self) -> None:
        """Perhaps they were too many."""
        self.size, self._last = max(1, self.size // 2), None

    def _more_cost_less(self, count: int, cost: float) -> bool:
        if self._last is None or self._last[0] == count:
            return False
        (_, of_few), (_, of_many) = sorted([self._last, (count, cost)])
        return of_many * _CLEARLY < of_few

    def _more(self, count: int) -> int:
        return min(self.most, 2 * count)
