"""The conversation with a search engine of the web."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


class SearchFailed(Exception):
    """No results can be had now. The message is one sentence for the model and the person; it holds no key."""


@dataclass(frozen=True, slots=True)
class FoundPage:
    """A page that was found, in words of strangers. `snippet` is what the engine shows of it, and may be empty."""

    title: str
    url: str
    snippet: str


class SearchEngine(Protocol):
    async def search(self, query: str, count: int) -> Sequence[FoundPage]:
        """At most `count`, the best first; none when nothing was found. Raises SearchFailed."""
        ...
