"""A client that does for the SDKs what they need and no more: most of a request's CPU went into the rest."""

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import httpx2

if TYPE_CHECKING:
    from adapters.web.transport import AiohttpTransport

_url = lru_cache(maxsize=64)(httpx2.URL)


class LeanClient(httpx2.AsyncClient):
    """No cookies, redirects, hooks, authentication flows or defaults of its own: the SDKs bring all that is sent.

    Redirects must not be followed: the key headers would go along to the other host.
    """

    def __init__(self, transport: "AiohttpTransport") -> None:
        super().__init__(transport=transport, trust_env=False, timeout=None)
        self._wire = transport

    def build_request(self, method: str, url: httpx2.URL | str, **given: Any) -> httpx2.Request:
        content, timeout = given.pop("content", None), given.pop("timeout", None)
        headers = httpx2.Headers(given.pop("headers", None))
        headers["accept-encoding"] = "identity"
        if not isinstance(content, bytes) or not isinstance(timeout, httpx2.Timeout) or any(given.values()):
            return super().build_request(method, url, content=content, timeout=timeout, headers=headers, **given)
        # With `stream` it adds no headers: aiohttp knows the host and the length.
        extensions = {"timeout": timeout.as_dict()}
        request = httpx2.Request(method, _url(url), stream=httpx2.ByteStream(content), extensions=extensions)
        request.headers = headers
        return request

    async def send(self, request: httpx2.Request, *, stream: bool = False, **_: Any) -> httpx2.Response:
        response = await self._wire.handle_async_request(request)
        # A charset may have any name, also that of a codec that makes no text: the reading of an error would fail.
        response.encoding = "utf-8"
        if not stream:
            try:
                await response.aread()
            finally:
                await response.aclose()
        return response
