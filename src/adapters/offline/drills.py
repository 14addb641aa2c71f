"""What authors of clients may tell the model to do, so that time-outs, heartbeats, stop and resume can be tried."""

import re
from dataclasses import dataclass
from typing import Final

from adapters.offline.summing_up import told_before
from adapters.offline.words import wording_for
from domain.conversation.conversation import Turn, UserTurn

LONGEST_WAIT: Final = 120.0
LONGEST_COUNT: Final = 100_000

_WAIT = re.compile(r"(?:wait\s+|(?P<han>等待)\s*)([0-9]{1,3}(?:\.[0-9]{1,6})?)(?(han)\s*秒)", re.IGNORECASE)
_COUNT = re.compile(r"(?:count\s+to\s+|数到\s*)([0-9]{1,6})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Drill:
    """`silence` is in seconds, before the answer."""

    answer: str
    silence: float = 0.0


def drill_in(turn: Turn) -> Drill | None:
    """Only where the question is nothing else: no document or tool sets one off."""
    if not isinstance(turn, UserTurn):
        return None
    question = told_before(turn.text)[1].strip()
    if wait := _WAIT.fullmatch(question):
        seconds = float(wait[2])
        waited = wording_for(question).waited.format(seconds=f"{seconds:.10g}")
        return Drill(waited, seconds) if 0 < seconds <= LONGEST_WAIT else None
    if count := _COUNT.fullmatch(question):
        last = int(count[1])
        return Drill(" ".join(map(str, range(1, last + 1)))) if 1 <= last <= LONGEST_COUNT else None
    return None
