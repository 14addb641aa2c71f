"""The Embedder behind OpenAI's embeddings protocol: OpenAI itself, and every server that speaks it."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol

from adapters.openai.pace import Pace
from domain.errors import ModelError
from domain.knowledge.embeddings import EmbeddingModel, Vector

QUERY_SECONDS: Final = 15.0
PASSAGES_SECONDS: Final = 120.0
SHORTEST: Final = 64
"""Characters that every model reads: what is refused as too long in spite of that is refused."""


class Post(Protocol):
    """One request, tried again where that helps."""

    async def __call__(self, body: bytes, *, seconds: float) -> bytes:
        """Raises ModelError."""
        ...


class OpenAIEmbedder:
    """`name` is the model's at the server; `asked_dimensions` are sent, for models that can make shorter vectors."""

    def __init__(
        self,
        post: Post,
        model: EmbeddingModel,
        name: str,
        pace: Pace,
        *,
        batch: int = 64,
        asked_dimensions: int | None = None,
        compatible: bool = False,
        query_seconds: float = QUERY_SECONDS,
    ) -> None:
        self._post = post
        self._model = model
        self._name = name
        self._pace = pace
        self._batch = batch
        self._asked_dimensions = asked_dimensions
        self._compatible = compatible
        self._query_seconds = query_seconds

    @property
    def model(self) -> EmbeddingModel:
        return self._model

    @property
    def batch(self) -> int:
        return self._batch

    @property
    def queries_at_once(self) -> int:
        return self._pace.at_once

    async def query(self, text: str) -> Vector:
        (vector,) = await self._vectors([text], self._pace.question, self._query_seconds)
        return vector

    async def passages(self, texts: Sequence[str]) -> Sequence[Vector]:
        found: list[Vector] = []
        for start in range(0, len(texts), self._batch):
            found += await self._vectors(texts[start : start + self._batch], self._pace.passages, PASSAGES_SECONDS)
        return found

    async def _vectors(
        self, texts: Sequence[str], turn: Callable[[], AbstractAsyncContextManager[None]], seconds: float
    ) -> list[Vector]:
        await asyncio.to_thread(_warm_up)
        from adapters.openai import embedding_wire as wire

        read = list(map(wire.legible, texts))
        while True:
            body = wire.body_of(self._name, read, dimensions=self._asked_dimensions, compatible=self._compatible)
            try:
                async with turn():
                    answer = await self._post(body, seconds=seconds)
            except ModelError as error:
                if error.code != "context_too_long" or max(map(len, read)) <= SHORTEST:
                    raise
                read = wire.halved(read)
            else:
                return wire.vectors_in(answer, count=len(read), dimensions=self._model.dimensions)


def _warm_up() -> None:
    """numpy takes its time, once, and not at the start of the server."""
    import adapters.openai.embedding_wire  # noqa: F401
