"""An embedding model without a model: texts that share words get vectors that are near. For tests."""

import asyncio
import math
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from sys import byteorder
from zlib import crc32

from domain.errors import ModelError
from domain.knowledge.embeddings import EmbeddingModel, Vector
from domain.knowledge.lexical import terms


@dataclass
class ScriptedEmbedder:
    """Each word is a direction that its hash tells; a text is the sum of its words. A text without words has one too.

    `failures` are raised by the next calls, one each; `refuse` tells the error of a batch, if it has one. While `gate`
    is there, calls wait for it; `reached` tells that one waits. `calls` are the batches that were asked for, in order.
    """

    name: str = "scripted/words"
    dimensions: int = 64
    batch: int = 4
    queries_at_once: int = 4
    failures: list[Exception] = field(default_factory=list)
    refuse: Callable[[Sequence[str]], Exception | None] | None = None
    gate: asyncio.Event | None = None
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    calls: list[Sequence[str]] = field(default_factory=list)
    cancelled: int = 0

    @property
    def model(self) -> EmbeddingModel:
        return EmbeddingModel(self.name, self.dimensions)

    @property
    def texts(self) -> list[str]:
        return [text for call in self.calls for text in call]

    async def query(self, text: str) -> Vector:
        return (await self._answered([text]))[0]

    async def passages(self, texts: Sequence[str]) -> Sequence[Vector]:
        return await self._answered(texts)

    async def _answered(self, texts: Sequence[str]) -> list[Vector]:
        self.calls.append(tuple(texts))
        if self.gate is not None:
            self.reached.set()
            try:
                await self.gate.wait()
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
        await asyncio.sleep(0)
        if self.failures:
            raise self.failures.pop(0)
        if self.refuse and (error := self.refuse(texts)):
            raise error
        return [vector_of(text, self.dimensions, self.name) for text in texts]


@dataclass
class ScriptedEmbedders:
    """The first one is configured. What `away` names can't be reached. Where none is known, `missing` says what this
    process lacks; without it, embedding is switched off."""

    known: list[ScriptedEmbedder] = field(default_factory=list)
    away: set[str] = field(default_factory=set)
    missing: str | None = None

    @property
    def configured(self) -> EmbeddingModel | None:
        return self.known[0].model if self.known else None

    @property
    def lacking(self) -> str | None:
        return None if self.known else self.missing or "No embedding model is configured, as scripted."

    @property
    def is_switched_off(self) -> bool:
        return not self.known and self.missing is None

    def open(self, name: str) -> ScriptedEmbedder | None:
        return next((one for one in self.known if one.name == name and name not in self.away), None)


def vector_of(text: str, dimensions: int, seed: str = "") -> Vector:
    """Another seed turns the same words elsewhere, as another model does."""
    floats = [0.0] * dimensions
    for term in terms(text) or [""]:
        direction = crc32(f"{seed}\n{term}".encode(errors="replace"))
        floats[direction % dimensions] += 1.0 if direction & (1 << 31) else -1.0
    length = math.hypot(*floats)
    if length == 0.0:
        floats[0] = length = 1.0
    packed = array("f", [one / length for one in floats])
    if byteorder == "big":
        packed.byteswap()
    return Vector(packed.tobytes())


def embedding_failure(code: str = "model_unavailable", *, retry_after: float | None = None) -> ModelError:
    """One that may pass."""
    return ModelError(code, "The embedding model failed, as scripted.", retryable=True, retry_after=retry_after)
