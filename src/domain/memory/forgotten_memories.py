"""What users made agents forget one by one. It is known again when it comes back, and kept as a fingerprint alone: who
deletes a sentence does not find it in the database any more.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from domain.ids import AgentId, MessageId, UserId
from domain.knowledge.lexical import terms
from domain.memory.memories import Note, Operation

MOST_FORGOTTEN: Final = 200
"""Of one user with one agent. Beyond it, all that was asked up to the oldest ones teaches nothing any more."""
_BESIDE_THE_POINT: Final = frozenset({"a", "an", "the", "user", "is", "are", "that", "s"})


@dataclass(frozen=True, slots=True)
class Forgotten:
    """`moments` says when, by fingerprint."""

    owner: UserId
    agent_id: AgentId
    moments: Mapping[str, datetime] = field(default_factory=dict)

    def without(self, operations: Sequence[Operation], asked: Mapping[MessageId, datetime | None]) -> list[Operation]:
        """Those that teach nothing anew which was forgotten after the message that says it was asked."""
        return [one for one in operations if not (isinstance(one, Note) and self._covers(one, asked))]

    def _covers(self, note: Note, asked: Mapping[MessageId, datetime | None]) -> bool:
        moment = self.moments.get(fingerprint(self.owner, self.agent_id, note.text)) if self.moments else None
        asked_at = asked.get(note.message_id)
        return moment is not None and (asked_at is None or asked_at <= moment)


def fingerprint(owner: UserId, agent_id: AgentId, content: str) -> str:
    """Equal for sentences of the same words, in whatever order; of no two users alike."""
    words = set(terms(content))
    told = " ".join(sorted(words - _BESIDE_THE_POINT or words))
    return hashlib.sha256(f"{owner}\n{agent_id}\n{told}".encode(errors="replace")).hexdigest()
