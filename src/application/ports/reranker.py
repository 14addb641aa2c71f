"""The conversation with what judges how well passages answer a query."""

from collections.abc import Sequence
from typing import Protocol


class Reranker(Protocol):
    async def scores(self, query: str, texts: Sequence[str]) -> Sequence[float]:
        """One for each text, 0 to 1, in order: how well it answers. Raises ModelError."""
        ...
