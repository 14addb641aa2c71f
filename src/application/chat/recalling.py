"""What an agent remembers about the user who asks it something."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from application.memory.embedded_memories import EmbedMemories
from application.ports.persistence import Transactions
from domain.agents.agents import Agent
from domain.conversation.conversation import ModelRequest
from domain.errors import DomainError
from domain.ids import UserId
from domain.memory.memories import Known
from domain.memory.memory_recall import FEW_CHARACTERS, as_remembered, by_relevance, tells_memories

READING_SECONDS: Final = 5.0
_LOOKED_AT: Final = 4_000


@dataclass(frozen=True, slots=True)
class Recall:
    """One statement, and none for an agent that does not remember. Whatever goes wrong, the answer goes on without."""

    transactions: Transactions
    embed: EmbedMemories
    on_trouble: Callable[[Exception], None]

    async def __call__(self, actor: UserId, agent: Agent, question: str) -> Sequence[str]:
        """What it remembers, most relevant first; where that is little, what was taught last first."""
        if not agent.enable_memory:
            return ()
        known = await self._known(actor, agent)
        if sum(len(one.content) for one in known) <= FEW_CHARACTERS:
            return [one.content for one in known]
        question = question[:_LOOKED_AT]
        has_vectors = any(one.vector is not None for one in known)
        vector = await self.embed.question(actor, question) if has_vectors else None
        # Two hundred vectors take milliseconds: not on the event loop.
        return await asyncio.to_thread(partial(by_relevance, question, known, vector))

    async def again(self, actor: UserId, agent: Agent, request: ModelRequest) -> ModelRequest:
        """What was asked before, without what was forgotten since."""
        if not tells_memories(request):
            return request
        return as_remembered(request, [one.content for one in await self._known(actor, agent)])

    async def _known(self, actor: UserId, agent: Agent) -> Sequence[Known]:
        try:
            async with asyncio.timeout(READING_SECONDS), self.transactions.autocommit() as tx:
                return await tx.memories.known(agent.agent_id, self.embed.model, FEW_CHARACTERS, owner=actor)
        except (DomainError, TimeoutError) as trouble:
            self.on_trouble(trouble)
            return ()
