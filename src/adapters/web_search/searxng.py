"""SearXNG: `GET /search?format=json`, which its settings must allow."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from adapters.web_search.asking import Asking, member, pages_in
from application.ports.web_search import FoundPage, SearchFailed


@dataclass(frozen=True, slots=True)
class Searxng:
    """It says nothing about how many results are wanted: a page of them comes."""

    ask: Asking
    base_url: str

    async def search(self, query: str, count: int) -> Sequence[FoundPage]:
        words = urlencode({"q": query, "format": "json"}, errors="replace")
        answer = await self.ask("GET", f"{self.base_url.rstrip('/')}/search?{words}")
        found = member(answer, "results")
        if not isinstance(found, list):
            raise SearchFailed("The search engine sent no results.")
        return pages_in(found, "title", "url", "content")[:count]
