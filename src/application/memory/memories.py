"""Memories as their user sees them: listed, shown and forgotten."""

from dataclasses import dataclass

from application.paging import Page, Position, Window
from application.ports.clock import Clock
from application.ports.persistence import Transactions
from domain.ids import AgentId, MemoryId, UserId
from domain.memory.memories import Memory


@dataclass(frozen=True, slots=True)
class ListMemories:
    """Newest first; of every agent where none is named."""

    transactions: Transactions

    async def __call__(self, actor: UserId, agent_id: AgentId | None, window: Window) -> Page[Memory]:
        async with self.transactions.autocommit() as tx:
            rows = await tx.memories.list(window, agent_id, owner=actor)
        return Page.cut(rows, window, lambda memory: Position(memory.created_at, memory.memory_id))


@dataclass(frozen=True, slots=True)
class ShowMemory:
    transactions: Transactions

    async def __call__(self, actor: UserId, memory_id: MemoryId) -> Memory:
        async with self.transactions.autocommit() as tx:
            return await tx.memories.get(memory_id, owner=actor)


@dataclass(frozen=True, slots=True)
class ForgetMemory:
    """It does not come back: what was asked up to now does not teach the same any more."""

    transactions: Transactions
    clock: Clock

    async def __call__(self, actor: UserId, memory_id: MemoryId) -> None:
        async with self.transactions.autocommit() as tx:
            await tx.memories.remove(memory_id, self.clock.now(), owner=actor)


@dataclass(frozen=True, slots=True)
class ForgetAll:
    """Nothing of it comes back: what was asked up to now teaches nothing more."""

    transactions: Transactions
    clock: Clock

    async def __call__(self, actor: UserId, agent_id: AgentId | None) -> None:
        async with self.transactions.autocommit() as tx:
            await tx.memories.remove_all(agent_id, self.clock.now(), owner=actor)
