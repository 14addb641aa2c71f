"""The conversation with what makes vectors of texts."""

from collections.abc import Sequence
from typing import Protocol

from domain.knowledge.embeddings import EmbeddingModel, Vector


class Embedder(Protocol):
    """One model. Safe for many calls at once: it limits by itself how much it does, or asks for, at a time.

    Raises ModelError, whose `retryable` says whether the same call may succeed later. Cancelling a call ends its wait.
    What is longer than the model reads is cut there. Any text is accepted.
    """

    @property
    def model(self) -> EmbeddingModel: ...

    @property
    def batch(self) -> int:
        """As many texts are worth one call of `passages`; more may be given."""
        ...

    @property
    def queries_at_once(self) -> int:
        """So many calls of `query` go on at a time, at least 1; further ones would only wait inside."""
        ...

    async def query(self, text: str) -> Vector: ...

    async def passages(self, texts: Sequence[str]) -> Sequence[Vector]:
        """One vector for each text, in order."""
        ...


class Embedders(Protocol):
    """The embedding models that the present configuration reaches."""

    @property
    def configured(self) -> EmbeddingModel | None:
        """What new vectors are made with; None when nothing can embed, so that retrieval is lexical alone."""
        ...

    @property
    def lacking(self) -> str | None:
        """When nothing can embed, one sentence that says why."""
        ...

    @property
    def is_switched_off(self) -> bool:
        """Nothing shall embed; else what is `lacking` is lacking in this process, and others may have it."""
        ...

    def open(self, name: str) -> Embedder | None:
        """The model of that name, which made vectors once; None when it can't be reached now. Cheap."""
        ...
