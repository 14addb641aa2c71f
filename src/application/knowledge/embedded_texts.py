"""Vectors of texts, few or many at a time as the model is quick; one that it refuses does not keep others waiting."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from application.ports.embedder import Embedder
from domain.errors import ModelError
from domain.knowledge.batch_pace import BatchPace
from domain.knowledge.embeddings import Vector

_ABOUT_A_TEXT: Final = frozenset({"content_refused", "context_too_long", "model_bad_request"})
"""Other lasting errors, such as a wrong key, concern every text."""


@dataclass(frozen=True, slots=True)
class TimedEmbedding:
    """Learns from each call, whoever makes it in this process, how many texts the next one should have."""

    _paces: dict[str, BatchPace] = field(default_factory=dict)

    def batch(self, embedder: Embedder) -> int:
        return self._pace(embedder).size

    async def __call__(
        self, embedder: Embedder, texts: Sequence[str], refused: list[ModelError] | None = None
    ) -> list[Vector | None]:
        """See `embedded`."""
        loop, pace = asyncio.get_running_loop(), self._pace(embedder)
        begun = loop.time()
        try:
            vectors = await embedded(embedder, texts, refused)
        except ModelError as trouble:
            if trouble.code == "model_timeout":
                pace.failed()
            raise
        pace.took(len(texts), loop.time() - begun)
        return vectors

    def _pace(self, embedder: Embedder) -> BatchPace:
        return self._paces.setdefault(embedder.model.name, BatchPace(embedder.batch))


async def embedded(
    embedder: Embedder, texts: Sequence[str], refused: list[ModelError] | None = None
) -> list[Vector | None]:
    """One vector for each text. What is refused with others is tried alone, and then its first half.

    What is refused even so has no vector, and its error is added to `refused`; without that list it is raised.
    """
    try:
        return list(await embedder.passages(texts))
    except ModelError as trouble:
        if not _is_about_a_text(trouble):
            raise
        why = trouble
    if len(texts) == 1:
        return [await _of_first_half(embedder, texts[0], why, refused)]
    middle = len(texts) // 2
    first = await embedded(embedder, texts[:middle], refused)
    return [*first, *await embedded(embedder, texts[middle:], refused)]


async def _of_first_half(
    embedder: Embedder, text: str, why: ModelError, refused: list[ModelError] | None
) -> Vector | None:
    try:
        return (await embedder.passages([text[: len(text) // 2]]))[0]
    except ModelError as trouble:
        if not _is_about_a_text(trouble):
            raise
    if refused is None:
        raise why
    refused.append(why)
    return None


def _is_about_a_text(trouble: ModelError) -> bool:
    return not trouble.retryable and trouble.code in _ABOUT_A_TEXT
