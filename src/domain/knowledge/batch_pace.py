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
    """The first call of the size that was given last: how many texts, and how long they took."""
    _other: tuple[int, float] | None = None
    """The last call of another size before it."""

    def __post_init__(self) -> None:
        self.most = max(self.most, 1)
        self.size = min(FIRST, self.most)

    def took(self, count: int, seconds: float) -> None:
        if count < 1:
            return
        self._remember(count, seconds)
        if seconds > self.seconds:
            self.size = self._more(count) if self._costs_the_same_for_more(count, seconds) else max(1, count // 2)
        elif 2 * seconds < self.seconds and count >= self.size:
            self.size = self._more(count)

    def failed(self) -> None:
        """Perhaps they were too many."""
        self.size, self._last, self._other = max(1, self.size // 2), None, None

    def _remember(self, count: int, seconds: float) -> None:
        if self._last is None or self._last[0] != count:
            self._last, self._other = (count, seconds), self._last
        elif seconds * _CLEARLY < self._last[1]:
            # The wait is over, or shorter: what another size took before says no more what it would take now.
            self._last, self._other = (count, seconds), None

    def _costs_the_same_for_more(self, count: int, seconds: float) -> bool:
        """Of the call with more texts less than half the time went with their number."""
        if self._other is None:
            return False
        (few, of_few), (many, of_many) = sorted([self._other, (count, seconds)])
        return 2 * many * (of_many - of_few) < of_many * (many - few)

    def _more(self, count: int) -> int:
        return min(self.most, 2 * count)
