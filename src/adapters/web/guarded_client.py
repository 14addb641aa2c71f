"""The guarded web for SDKs, which speak httpx2."""

import ssl
from collections.abc import AsyncIterator
from http.cookiejar import CookieJar, DefaultCookiePolicy

import aiohttp
import httpx2
import yarl

from adapters.web.body import BODY_EXTENSION, ERROR_BODY_LIMIT, ResponseBody
from adapters.web.guarded_connections import Resolve, guarded_connector, guarded_session
from adapters.web.guarded_headers import USER_AGENT, check_headers, check_method
from adapters.web.guarded_url import checked, origin, redirected
from adapters.web.transport import AiohttpTransport
from application.ports.guarded_web import WebRefused
from domain.tools.addresses import Reach
from domain.tools.header_rules import is_reserved


class GuardedBody(httpx2.AsyncByteStream):
    """What has arrived, piece by piece, up to a limit. Of what errors say, the beginning is enough."""

    def __init__(self, body: ResponseBody, most: int, *, error: bool) -> None:
        self._body = body
        self._left = min(most, ERROR_BODY_LIMIT) if error else most
        self._error = error

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while data := await self._body.read():
            self._left -= len(data)
            if self._left < 0:
                self._body.close()
                if self._error:
                    return
                raise httpx2.ReadError("the answer is longer than any may be")
            yield data

    async def aclose(self) -> None:
        self._body.close()


class GuardedTransport(AiohttpTransport):
    """Refuses with httpx2.ConnectError, whose cause is a WebRefused."""

    def __init__(self, reach: Reach, resolve: Resolve, tls: ssl.SSLContext, max_bytes: int) -> None:
        self._reach = reach
        self._resolve = resolve
        self._tls = tls
        self._max_bytes = max_bytes
        self._session = None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        try:
            check_method(request.method)
            request.url = httpx2.URL(str(checked(str(request.url))))
            request.headers = _sent(request.headers)
            response = await super().handle_async_request(request)
        except WebRefused as refused:
            raise httpx2.ConnectError(str(refused), request=request) from refused
        body = response.extensions[BODY_EXTENSION]
        headers = [(name, value) for name, value in response.headers.raw if name.lower() != b"content-length"]
        guarded = httpx2.Response(
            response.status_code,
            headers=headers,
            stream=GuardedBody(body, self._max_bytes, error=response.is_error),
            request=request,
            extensions=response.extensions,
        )
        # A charset may have any name, also that of a codec that makes no text.
        guarded.encoding = "utf-8"
        return guarded

    def _body(self, response: aiohttp.ClientResponse) -> ResponseBody:
        # Whoever reads an error stops early, and keeps what came.
        return ResponseBody(response, None if response.status >= 400 else self._max_bytes)

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = guarded_session(guarded_connector(self._reach, self._resolve, self._tls, keep=True))
        return self._session


def _sent(headers: httpx2.Headers) -> httpx2.Headers:
    """Those of framing are made anew: SDKs set them, and so may users."""
    kept = [(name, value) for name, value in headers.multi_items() if not is_reserved(name)]
    check_headers(kept)
    # Unpacked, a stream waits for what fills a block.
    return httpx2.Headers([*kept, ("accept-encoding", "identity")], encoding="latin-1")


async def _stays(response: httpx2.Response) -> None:
    """A redirect to another origin is refused, not followed: keys stand in headers that only their server knows."""
    location = response.headers.get("location")
    if location is None or not response.has_redirect_location:
        return
    try:
        _check_stay(checked(str(response.request.url)), location)
    except WebRefused as refused:
        await response.aclose()
        raise httpx2.ConnectError(str(refused), request=response.request) from refused


def _check_stay(asked: yarl.URL, location: str) -> None:
    if origin(redirected(asked, location)) != origin(asked):
        raise WebRefused(f"{asked.host} redirects to another address: use that one in its place.")


def guarded_client(
    reach: Reach, resolve: Resolve, tls: ssl.SSLContext, *, max_bytes: int, redirects: int
) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(
        transport=GuardedTransport(reach, resolve, tls, max_bytes),
        headers={"user-agent": USER_AGENT},
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        event_hooks={"response": [_stays]},
        follow_redirects=True,
        max_redirects=redirects,
        trust_env=False,
    )
