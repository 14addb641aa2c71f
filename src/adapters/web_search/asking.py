"""One question to a search engine over HTTP, and its answer as JSON. Importing this imports no HTTP library."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from application.ports.web_search import FoundPage, SearchFailed

if TYPE_CHECKING:
    import httpx2

_SAID: Final[Mapping[int, str]] = {
    401: "The search engine refused its key.",
    402: "The search engine wants its account paid.",
    403: "The search engine refused this server.",
    429: "The search engine is receiving too many requests; try again later.",
    432: "The quota at the search engine is used up.",
    433: "The quota at the search engine is used up.",
}
_NOT_UNDERSTOOD: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


@dataclass(frozen=True, slots=True)
class Asking:
    http: Callable[[], "httpx2.AsyncClient"]
    api_key: str = ""
    seconds: float = 10.0
    """For an answer in all."""

    async def __call__(self, method: str, address: str, body: object = None) -> object:
        """Raises SearchFailed."""
        # The first one imports the HTTP library.
        await asyncio.to_thread(self.http)
        try:
            async with asyncio.timeout(self.seconds):
                response = await self._sent(method, address, body)
        except TimeoutError:
            raise SearchFailed("The search engine took too long.") from None
        if not 200 <= response.status_code < 300:
            usual = f"The search engine failed (status {response.status_code})."
            raise SearchFailed(_SAID.get(response.status_code, usual))
        try:
            return msgspec.json.decode(response.content)
        except _NOT_UNDERSTOOD:
            raise SearchFailed("The search engine sent something that is no JSON.") from None

    async def _sent(self, method: str, address: str, body: object) -> "httpx2.Response":
        import httpx2

        client = self.http()
        headers = {"accept": "application/json"}
        if self.api_key:
            headers["authorization"] = f"Bearer {self.api_key}"
        if body is not None:
            headers["content-type"] = "application/json"
        timeout = httpx2.Timeout(None, connect=self.seconds)
        try:
            content = None if body is None else msgspec.json.encode(body)
            request = client.build_request(method, address, content=content, headers=headers, timeout=timeout)
            return await client.send(request)
        except httpx2.TransportError:
            raise SearchFailed("The search engine can't be reached.") from None
        except (httpx2.InvalidURL, UnicodeError, ValueError):
            raise SearchFailed("The search engine can't be asked: see its base_url and key.") from None


def member(value: object, *names: str) -> object:
    """What lies in objects within objects; None where there is no such thing."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def pages_in(items: object, title: str, url: str, *snippets: str) -> Sequence[FoundPage]:
    """Items that are none are left out; of several names of a snippet the first that has a text counts."""
    return list(_pages(items if isinstance(items, list) else [], title, url, snippets))


def _pages(items: list[object], title: str, url: str, snippets: Sequence[str]) -> Iterator[FoundPage]:
    for item in items:
        address = member(item, url)
        if isinstance(address, str) and address:
            said = next((text for name in snippets if (text := _text(item, name))), "")
            yield FoundPage(_text(item, title) or address, address, said)


def _text(item: object, name: str) -> str:
    value = member(item, name)
    return value if isinstance(value, str) else ""
