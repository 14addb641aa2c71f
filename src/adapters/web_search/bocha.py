"""Bocha (博查): `POST /v1/web-search`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from adapters.web_search.asking import Asking, member, pages_in
from application.ports.web_search import FoundPage, SearchFailed

BOCHA: Final = "https://api.bochaai.com"
FINE: Final = (None, 200, "200")


@dataclass(frozen=True, slots=True)
class Bocha:
    """Its `summary` is more of a page than its `snippet`."""

    ask: Asking
    base_url: str = BOCHA

    async def search(self, query: str, count: int) -> Sequence[FoundPage]:
        wanted = {"query": query, "count": count, "summary": True, "freshness": "noLimit"}
        answer = await self.ask("POST", f"{self.base_url.rstrip('/')}/v1/web-search", wanted)
        # Some of its failures come with status 200.
        if not isinstance(answer, dict) or member(answer, "code") not in FINE:
            raise SearchFailed("The search engine sent no results.")
        return pages_in(member(answer, "data", "webPages", "value"), "name", "url", "summary", "snippet")[:count]
