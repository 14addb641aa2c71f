"""The database's side of what agents remember about users."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from application.paging import Window
from domain.ids import AgentId, DialogId, MemoryId, UserId
from domain.memory.forgotten_memories import Forgotten
from domain.memory.memories import Changes, Known, Memory
from domain.memory.memory_lessons import Lesson


class Memories(Protocol):
    """They go with the user, with the agent, and with the last dialog that taught them."""

    async def list(self, window: Window, agent_id: AgentId | None, *, owner: UserId) -> Sequence[Memory]:
        """Newest first, in one statement; of every agent without `agent_id`."""
        ...

    async def get(self, memory_id: MemoryId, *, owner: UserId) -> Memory: ...

    async def known(self, agent_id: AgentId, model: str, few: int, *, owner: UserId) -> Sequence[Known]:
        """All that the agent remembers, what was taught last first, in one statement.

        With the vectors that the embedding model `model` made, if the contents have more than `few` characters.
        """
        ...

    async def lesson(self, dialog_id: DialogId, *, owner: UserId) -> Lesson | None:
        """What is to be learnt next in the dialog, in one statement; None for nothing, or no dialog.

        Complete answers count, of agents that remember and did so then, to what was asked after the user last forgot
        all. Of very many the oldest are left out; `said` is empty where callers brought but results. Raises
        Unauthenticated `account_gone`.
        """
        ...

    async def learn(
        self, dialog_id: DialogId, lesson: Lesson, changes: Changes, now: datetime, *, owner: UserId
    ) -> bool:
        """Make the changes, and count the lesson as learnt. Atomic alone.

        False, and nothing changed, when somebody learnt it meanwhile, the memories changed, the agent remembers no
        more, or dialog or account are gone: a dialog of the same id that was begun anew is another one.
        """
        ...

    async def failed(self, dialog_id: DialogId, lesson: Lesson, *, owner: UserId) -> int:
        """Count a failure to learn it; how many there are in a row, 0 when it does not matter any more."""
        ...

    async def forgotten(self, agent_id: AgentId, *, owner: UserId) -> Forgotten:
        """What of it was removed one by one, in one statement."""
        ...

    async def remove(self, memory_id: MemoryId, now: datetime, *, owner: UserId) -> None:
        """What was asked before `now` teaches the same no more. Atomic alone. Raises NotFound."""
        ...

    async def remove_all(self, agent_id: AgentId | None, now: datetime, *, owner: UserId) -> None:
        """Of one agent, or of every. What was asked before `now` teaches nothing more. Atomic alone.

        Raises NotFound `agent_not_found`.
        """
        ...
