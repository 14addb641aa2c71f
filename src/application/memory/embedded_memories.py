"""Vectors of memories, so that they are found by meaning too. They are dispensable: words find memories as well."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from application.knowledge.query_turns import QueryTurns
from application.knowledge.rankings import EMBEDDED_TOKENS
from application.ports.embedder import Embedder, Embedders
from domain.errors import DomainError
from domain.ids import UserId
from domain.knowledge.embeddings import Vector
from domain.memory.memories import New
from domain.tokens import beginning

LEARNING_SECONDS: Final = 20.0
RECALLING_SECONDS: Final = 1.5
"""An answer waits for it: a model that takes longer is not waited for."""
_LOOKED_AT: Final = 1_000


@dataclass(frozen=True, slots=True)
class EmbedMemories:
    """With the model that new vectors are made with, if there is one. Whatever is wrong with it, it is told of."""

    embedders: Embedders
    turns: QueryTurns
    on_trouble: Callable[[Exception], None]
    learning_seconds: float = LEARNING_SECONDS
    recalling_seconds: float = RECALLING_SECONDS

    @property
    def model(self) -> str:
        """Its name; empty for none."""
        configured = self.embedders.configured
        return "" if configured is None else configured.name

    async def __call__(self, added: Sequence[New]) -> tuple[New, ...]:
        """With their vectors, where they could be made in time."""
        embedder = self._embedder()
        if not added or embedder is None:
            return tuple(added)
        try:
            async with asyncio.timeout(self.learning_seconds):
                vectors = await embedder.passages([one.content for one in added])
            pairs = zip(added, vectors, strict=True)
            return tuple(replace(one, vector=vector, model=embedder.model.name) for one, vector in pairs)
        except (DomainError, TimeoutError, ValueError) as trouble:
            self.on_trouble(trouble)
            return tuple(added)

    async def question(self, owner: UserId, text: str) -> Vector | None:
        """The question's; None where it could not be made in time."""
        embedder = self._embedder()
        if embedder is None:
            return None
        try:
            async with asyncio.timeout(self.recalling_seconds), self.turns.place(embedder, owner):
                return await embedder.query(beginning(text[:_LOOKED_AT], EMBEDDED_TOKENS))
        except (DomainError, TimeoutError) as trouble:
            self.on_trouble(trouble)
            return None

    def _embedder(self) -> Embedder | None:
        return self.embedders.open(self.model) if self.model else None
