"""The conversation with a model's provider."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Protocol

from domain.conversation.conversation import ModelEvent, ModelRequest
from domain.models.models import ModelSpec


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds that a provider may take."""

    connect: float = 10.0
    """For one connection attempt."""
    first_token: float = 120.0
    """From the question to the first delta."""
    idle: float = 60.0
    """Between two deltas."""


class ChatModel(Protocol):
    """A model that answers. Safe for any number of streams at once."""

    def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        """Yield deltas as they come (adjacent text of one network read may be joined), then exactly one ModelFinished.

        Raises ModelError, before the first delta or in mid-stream (`model_stalled`, `model_stream_cut`,
        `model_bad_response`); nothing else. The provider is called once: it is not asked again here.
        Closing or cancelling the generator closes the provider's connection within 100 ms.
        """
        ...


class ChatModels(Protocol):
    """Opens the models of the catalogue."""

    def open(self, spec: ModelSpec) -> ChatModel:
        """The model behind `spec`. Raises ModelError `model_not_configured`, which says what to set."""
        ...


class KeptConnections(Protocol):
    """The connections to the providers of models that people brought: one set for a key, kept while it is used."""

    async def forget(self, key_id: str) -> None:
        """Close those, once no answer comes over them any more. The next call opens new ones."""
        ...


class TryEmbedding(Protocol):
    """Asks a model that makes vectors for one, without trying again."""

    async def __call__(self, spec: ModelSpec, text: str, *, seconds: float) -> int:
        """The dimensions of what it made. Raises ModelError."""
        ...
