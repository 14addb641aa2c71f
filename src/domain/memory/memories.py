"""What an agent remembers about a user: short sentences, each taught by something that the user said."""

import unicodedata
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from domain.ids import AgentId, DialogId, MemoryId, MessageId
from domain.knowledge.embeddings import Vector
from domain.memory.told_secrets import holds_secret

MOST: Final = 200
"""Of one user with one agent; beyond it those fall away that were of use the longest ago."""
LONGEST: Final = 300
"""Characters of one."""

_REFUSED: Final = ("Cc", "Cs", "Co", "Zl", "Zp")
_JOINERS: Final = "\u200c\u200d"
"""Some scripts can't be written without them."""


@dataclass(frozen=True, slots=True)
class Memory:
    """As its user sees it. `dialog_id` and `message_id` say where it was taught last."""

    memory_id: MemoryId
    agent_id: AgentId
    content: str
    dialog_id: DialogId
    message_id: MessageId
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Known:
    """A memory as far as prompts need it. `vector` is None where there is none, or none is needed."""

    memory_id: MemoryId
    content: str
    useful_at: datetime
    vector: Vector | None = None


@dataclass(frozen=True, slots=True)
class Note:
    """The user said in `message_id` what `text` says. It takes the place of `instead`."""

    text: str
    message_id: MessageId
    instead: tuple[MemoryId, ...] = ()


@dataclass(frozen=True, slots=True)
class Again:
    """The user said in `message_id` once more what is known already."""

    memory_id: MemoryId
    message_id: MessageId


Operation = Note | Again


@dataclass(frozen=True, slots=True)
class New:
    """A memory that comes. `vector` is made with the embedding model named `model`."""

    memory_id: MemoryId
    content: str
    message_id: MessageId
    vector: Vector | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Changes:
    """`confirmed` were taught again in that message; `useful` were spoken of."""

    added: tuple[New, ...] = ()
    confirmed: Mapping[MemoryId, MessageId] = field(default_factory=dict)
    removed: tuple[MemoryId, ...] = ()
    useful: tuple[MemoryId, ...] = ()

    @property
    def alters(self) -> bool:
        """Whether another memory is known, or one is known from more, than before."""
        return bool(self.added or self.confirmed or self.removed)


def sentence(text: str) -> str | None:
    """One line of at most LONGEST characters, as it may be remembered; None for what may not."""
    if len(text) > 8 * LONGEST:
        return None
    seen = (one for one in text if one in _JOINERS or unicodedata.category(one) != "Cf")
    line = unicodedata.normalize("NFC", " ".join("".join(seen).split()))
    if not 2 <= len(line) <= LONGEST or any(unicodedata.category(one) in _REFUSED for one in line):
        return None
    return None if holds_secret(line) or not likeness(line) else line


def likeness(text: str) -> str:
    """Equal for sentences of the same words, however they are written."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    return " ".join("".join(one if one.isalnum() else " " for one in plain).split())


def merged(
    known: Sequence[Known],
    operations: Sequence[Operation],
    new_id: Callable[[], MemoryId],
    useful: Collection[MemoryId] = (),
    most: int = MOST,
) -> Changes:
    """What becomes of the memories. Done again, it changes nothing more.

    What is said now stays in any case, in whatever order it was said: so one list of operations always leads to one
    end. Of the rest those fall away that were of use the longest ago, once there are more than `most`.
    """
    notes = [one for one in operations if isinstance(one, Note)][:most]
    said = {likeness(note.text): note for note in notes}
    outdated = {memory_id for note in notes for memory_id in note.instead}
    kept: dict[str, Known] = {}
    for one in known:
        key = likeness(one.content)
        if key not in kept and (key in said or one.memory_id not in outdated):
            kept[key] = one
    confirmed = {kept[key].memory_id: note.message_id for key, note in said.items() if key in kept}
    left = {one.memory_id for one in kept.values()}
    confirmed |= {
        one.memory_id: one.message_id for one in operations if isinstance(one, Again) and one.memory_id in left
    }
    added = [New(new_id(), note.text, note.message_id) for key, note in said.items() if key not in kept]
    idle = [one for one in kept.values() if one.memory_id not in confirmed]
    idle.sort(key=lambda one: (one.memory_id in useful, one.useful_at, one.memory_id))
    left -= {one.memory_id for one in idle[: max(0, len(kept) + len(added) - most)]}
    return Changes(
        tuple(added),
        {memory_id: message_id for memory_id, message_id in confirmed.items() if memory_id in left},
        tuple(one.memory_id for one in known if one.memory_id not in left),
        tuple(one.memory_id for one in known if one.memory_id in left and one.memory_id in useful),
    )
