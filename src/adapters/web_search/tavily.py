"""Tavily: `POST /search`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from adapters.web_search.asking import Asking, member, pages_in
from application.ports.web_search import FoundPage, SearchFailed

TAVILY: Final = "https://api.tavily.com"


@dataclass(frozen=True, slots=True)
class Tavily:
    ask: Asking
    base_url: str = TAVILY

    async def search(self, query: str, count: int) -> Sequence[FoundPage]:
        answer = await self.ask("POST", f"{self.base_url.rstrip('/')}/search", {"query": query, "max_results": count})
        found = member(answer, "results")
        if not isinstance(found, list):
            raise SearchFailed("The search engine sent no results.")
        return pages_in(found, "title", "url", "content")[:count]
