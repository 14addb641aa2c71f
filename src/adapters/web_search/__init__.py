"""Search engines of the web, which the operator chose: SearXNG, Tavily, Bocha."""

from adapters.web_search.asking import Asking
from adapters.web_search.bocha import Bocha
from adapters.web_search.searxng import Searxng
from adapters.web_search.tavily import Tavily

__all__ = ["Asking", "Bocha", "Searxng", "Tavily"]
