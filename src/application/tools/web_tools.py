"""The tools that look into the web: a page, and a search."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from application.fair_places import FairPlaces
from application.ports.document_parser import DocumentParser
from application.ports.guarded_web import GuardedWeb, WebAnswer, WebFailed, WebLimits, WebRefused, WebRequest
from application.ports.tool_runner import ToolFailed, ToolOutput, ToolRunner
from application.ports.web_search import FoundPage, SearchEngine, SearchFailed
from application.tools.web_pages import text_of
from domain.files.attachments import WARNING, fenced, plain_name
from domain.ids import ToolId
from domain.tokens import CHARACTERS_A_TOKEN, beginning, estimate
from domain.tools.tools import JsonValue, ToolSpec

PAGE_TOKENS: Final = 8_000
PAGE_CHARACTERS: Final = 20_000
MOST_CHARACTERS: Final = 100_000
FETCH_LIMITS: Final = WebLimits(seconds=20.0, max_bytes=5 << 20)
ACCEPTED: Final = "text/html,application/xhtml+xml,application/pdf;q=0.9,text/*;q=0.9,application/json;q=0.9,*/*;q=0.5"

FETCHES: Final = 16
"""Pages that a process asks for or reads at once: so many times 5 MB are held, and their copies."""
FETCHES_OF_ONE: Final = 4
"""Of them those of one person."""

SEARCH_TOKENS: Final = 4_000
SNIPPET_TOKENS: Final = 400
USUAL_RESULTS: Final = 5
MOST_RESULTS: Final = 10
LONGEST_QUERY: Final = 400
LONGEST_URL: Final = 2_000

_FETCH: Final = ToolSpec(
    tool_id=ToolId("web_fetch"),
    name="web_fetch",
    title="网页读取 Web page",
    description="Reads a public web page or document (HTML, PDF, Office, text, JSON) by its address, as text.",
    parameters={
        "type": "object",
        "properties": {
            "url": {"type": "string", "description": "The whole address, with http:// or https://."},
            "max_chars": {
                "type": "integer",
                "minimum": 1,
                "maximum": MOST_CHARACTERS,
                "description": f"How much of the text is wanted; {PAGE_CHARACTERS} when absent.",
            },
        },
        "required": ["url"],
        "additionalProperties": False,
    },
)
_SEARCH: Final = ToolSpec(
    tool_id=ToolId("web_search"),
    name="web_search",
    title="网络搜索 Web search",
    description="Searches the web. Gives titles, addresses and short excerpts of pages, the best first.",
    parameters={
        "type": "object",
        "properties": {
            "query": {"type": "string", "maxLength": LONGEST_QUERY, "description": "What to search for."},
            "count": {
                "type": "integer",
                "minimum": 1,
                "maximum": MOST_RESULTS,
                "description": f"How many results; {USUAL_RESULTS} when absent.",
            },
        },
        "required": ["query"],
        "additionalProperties": False,
    },
)


@dataclass(frozen=True, slots=True)
class WebFetch:
    """Whoever wrote the page may want to command the model: it is shown as data, in a frame that it can't close."""

    web: GuardedWeb
    parser: DocumentParser
    tokens: int = PAGE_TOKENS
    limits: WebLimits = FETCH_LIMITS
    fetching: FairPlaces = field(default_factory=lambda: FairPlaces(FETCHES, FETCHES_OF_ONE))
    reading: FairPlaces = field(default_factory=lambda: FairPlaces(1, 1))

    @property
    def spec(self) -> ToolSpec:
        return _FETCH

    async def run(self, arguments: Mapping[str, JsonValue]) -> ToolOutput:
        url = arguments.get("url")
        if not isinstance(url, str) or not url.strip():
            raise ToolFailed("url must be an address such as https://example.org/page.")
        characters = _count(arguments, "max_chars", PAGE_CHARACTERS, MOST_CHARACTERS)
        # Megabytes are held from here on: until the page is read, and nobody asks for more pages than have a place.
        async with self.fetching.taken():
            return await self._shown(url, min(characters, self.tokens * CHARACTERS_A_TOKEN))

    async def _shown(self, url: str, most: int) -> ToolOutput:
        answer = await self._asked(url)
        try:
            text = (await text_of(answer, self.parser, self.reading.taken())).strip()
        except ToolFailed as problem:
            raise ToolFailed(f"{plain_name(answer.url)} {problem}") from problem
        if not text:
            raise ToolFailed(f"{plain_name(answer.url)} has no text; a browser might make some by running its scripts.")
        wanted = text[:most]
        safe = fenced(wanted)
        shown = beginning(safe, self.tokens)
        is_whole = not answer.cut and len(wanted) == len(text) and len(shown) == len(safe)
        part = "" if is_whole else ' shown="only the beginning"'
        head = f'<document name="{plain_name(answer.url)}"{part}>'
        return ToolOutput(f"{WARNING}\n{head}\n{shown.rstrip()}\n</document>\n")

    async def _asked(self, url: str) -> WebAnswer:
        request = WebRequest("GET", url, (("Accept", ACCEPTED),), limits=self.limits)
        try:
            answer = await self.web.send(request)
        except (WebRefused, WebFailed) as problem:
            raise ToolFailed(str(problem)) from problem
        if not 200 <= answer.status < 300:
            raise ToolFailed(f"{plain_name(answer.url)} answered with status {answer.status} and no page.")
        return answer


@dataclass(frozen=True, slots=True)
class WebSearch:
    engine: SearchEngine
    tokens: int = SEARCH_TOKENS

    @property
    def spec(self) -> ToolSpec:
        return _SEARCH

    async def run(self, arguments: Mapping[str, JsonValue]) -> ToolOutput:
        query = arguments.get("query")
        if not isinstance(query, str) or not query.strip():
            raise ToolFailed("query must be a text to search for.")
        if len(query) > LONGEST_QUERY:
            raise ToolFailed(f"query may have {LONGEST_QUERY} characters; this one has {len(query)}.")
        count = _count(arguments, "count", USUAL_RESULTS, MOST_RESULTS)
        try:
            found = await self.engine.search(query.strip(), count)
        except SearchFailed as problem:
            raise ToolFailed(str(problem)) from problem
        shown = _shown([page for page in found if _is_address(page.url)][:count], self.tokens)
        return ToolOutput(f"{WARNING}\n{shown}" if shown else "Nothing was found.")


def _shown(found: Sequence[FoundPage], tokens: int) -> str:
    """As many results as there is room for, and of each as much as of the others."""
    tokens -= estimate(WARNING) + 1
    blocks: list[str] = []
    for page in found:
        snippet = fenced(page.snippet[: SNIPPET_TOKENS * CHARACTERS_A_TOKEN]).strip()
        name = plain_name(page.title) or plain_name(page.url)
        block = f'<document name="{name}">\n{fenced(page.url)}\n{beginning(snippet, SNIPPET_TOKENS)}\n</document>\n'
        tokens -= estimate(block) + 1
        if tokens < 0:
            break
        blocks.append(block)
    return "".join(blocks)


def _is_address(url: str) -> bool:
    sound = len(url) <= LONGEST_URL and url.isprintable() and " " not in url
    return sound and url.lower().startswith(("http://", "https://"))


def _count(arguments: Mapping[str, JsonValue], name: str, usual: int, most: int) -> int:
    value = arguments.get(name)
    if value is None:
        return usual
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value or value < 1:
        raise ToolFailed(f"{name} must be a whole number from 1 to {most}.")
    return int(min(value, most))


def web_tools(
    web: GuardedWeb, parser: DocumentParser, engine: SearchEngine | None, *, readers: int = 1
) -> tuple[ToolRunner, ...]:
    """Without a search engine there is no web_search. `readers`: pages that are parsed at once in this process."""
    fetch = WebFetch(web, parser, reading=FairPlaces(readers, readers))
    return (fetch, WebSearch(engine)) if engine is not None else (fetch,)
