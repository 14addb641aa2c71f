"""The conversation with a model's provider."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Protocol

from domain.conversation import ModelEvent, ModelRequest
from domain.models import ModelSpec


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds that a provider may take."""

    connect: float = 10.0
    """For one connection attempt."""
    first_token: float = 120.0
    """From the question to the first delta, all attempts together."""
    idle: float = 60.0
    """Between two deltas."""


class ChatModel(Protocol):
    """A model that answers. Safe for any number of streams at once."""

    def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        """Yield deltas as they come (adjacent text of one network read may be joined), then exactly one ModelFinished.

        Raises ModelError, before the first delta or in mid-stream (`model_stalled`, `model_stream_cut`,
        `model_bad_response`); nothing else. Retries, if any, happen before the first delta only.
        Closing or cancelling the generator closes the provider's connection within 100 ms.
        """
        ...


class ChatModels(Protocol):
    """Opens the models of the catalogue."""

    def open(self, spec: ModelSpec) -> ChatModel:
        """The model behind `spec`. Raises ModelError `model_not_configured`, which says what to set."""
        ...
