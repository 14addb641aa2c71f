"""Plain numbers about what happened since the process began. They only grow; whoever watches the process reads them."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Final

OTHER: Final = "other"
MOST_LABELS: Final = 200


class Tally:
    """Counts by labels. What comes new after `most` of them counts as `other`: nobody fills the memory by new names."""

    __slots__ = ("_counts", "_most")

    def __init__(self, most: int = MOST_LABELS) -> None:
        self._most = most
        self._counts: dict[tuple[str, ...], int] = {}

    def add(self, *labels: str, amount: int = 1) -> None:
        if labels not in self._counts and len(self._counts) >= self._most:
            labels = (OTHER,) * len(labels)
        self._counts[labels] = self._counts.get(labels, 0) + max(0, amount)

    def __getitem__(self, labels: tuple[str, ...]) -> int:
        return self._counts.get(labels, 0)

    def __iter__(self) -> Iterator[tuple[tuple[str, ...], int]]:
        return iter(tuple(self._counts.items()))


class Durations:
    """How many took how long: `counts` has one number for each of `bounds`, in seconds, and one for what is beyond."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        """A bound belongs to what it bounds. A clock that was set back makes nothing take less than no time."""
        seconds = max(0.0, seconds)
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.total += seconds
