"""Two settings on one database: each would take back what the other switched, and embed all of it again, for ever."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from domain.ids import KnowledgeId

FIRST_SECONDS: Final = 900.0
LONGEST_SECONDS: Final = 86_400.0

OnContest = Callable[[str, str, float], None]
"""Of the model of this process, the one that another process has, and for how long that one is let be."""


def _nothing(*_: object) -> None: ...


@dataclass(frozen=True, slots=True)
class _Contest:
    since: float
    seconds: float

    @property
    def end(self) -> float:
        return self.since + self.seconds


@dataclass(frozen=True, slots=True)
class Contests:
    """What this process remembers of the bases that it switched, and of the models that were preferred to its own.

    A base that is taken back makes it leave all bases of that model alone for a while, twice as long each time.
    """

    on_contest: OnContest = _nothing
    clock: Callable[[], float] = time.monotonic
    switched: dict[KnowledgeId, float] = field(default_factory=dict)
    contests: dict[str, _Contest] = field(default_factory=dict)

    def note_switch(self, knowledge_id: KnowledgeId) -> None:
        self.switched[knowledge_id] = self.clock()

    def leaves(self, knowledge_id: KnowledgeId, ours: str, found: str | None) -> bool:
        """Whether a base that is searched by the model `found` is to be left alone now."""
        if found is None or found == ours:
            return False
        now, known = self.clock(), self.contests.get(found)
        switched_at = self.switched.pop(knowledge_id, None)
        # What was switched before the last contest ended belongs to that one: it is no sign of another round.
        if switched_at is not None and (known is None or switched_at >= known.end):
            known = self.contests[found] = _Contest(now, _seconds_after(known, now))
            self.on_contest(ours, found, known.seconds)
        return known is not None and now < known.end


def _seconds_after(known: _Contest | None, now: float) -> float:
    """As at first again, when there was peace for long."""
    if known is None or now >= known.end + 2 * LONGEST_SECONDS:
        return FIRST_SECONDS
    return min(2 * known.seconds, LONGEST_SECONDS)
