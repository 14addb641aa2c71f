"""httpx2's transport over aiohttp: the SDKs speak httpx2, and aiohttp reads a stream with a quarter of its CPU."""

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import aiohttp
import httpx2
import yarl
from aiohttp.http_exceptions import HttpProcessingError

from adapters.web.body import BODY_EXTENSION, ResponseBody

KEEPALIVE_SECONDS = 30.0
READ_BUFFER = 1 << 18
"""Bytes that wait for us before a provider is made to wait: with few, fast ones are paused all the time."""
_target = lru_cache(maxsize=64)(yarl.URL)
PROXY_VARIABLES = frozenset({"http_proxy", "https_proxy", "all_proxy"})


@contextmanager
def _errors_of_httpx() -> Iterator[None]:
    try:
        yield
    except aiohttp.ConnectionTimeoutError as error:
        raise httpx2.ConnectTimeout("no connection in time") from error
    except aiohttp.ClientConnectorError as error:
        raise httpx2.ConnectError("no connection") from error
    except aiohttp.InvalidURL as error:
        raise httpx2.UnsupportedProtocol("no such kind of address") from error
    except (aiohttp.ClientResponseError, HttpProcessingError) as error:
        raise httpx2.RemoteProtocolError("not an HTTP answer") from error
    except (aiohttp.ClientError, OSError) as error:
        raise httpx2.ReadError("the connection was cut before an answer") from error


class AiohttpTransport(httpx2.AsyncBaseTransport):
    """No limit on connections: as many streams as there are runs. Proxies are those of the environment."""

    def __init__(self) -> None:
        self._tls: ssl.SSLContext = httpx2.create_ssl_context()
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        timeout = request.extensions.get("timeout", {})
        with _errors_of_httpx():
            response = await self._opened().request(
                request.method,
                _target(str(request.url)),
                headers=[(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw],
                data=await request.aread() or None,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(sock_connect=timeout.get("connect"), sock_read=timeout.get("read")),
            )
        headers = [(name, value) for name, value in response.raw_headers if name.lower() != b"content-encoding"]
        body = self._body(response)
        extensions = {BODY_EXTENSION: body}
        return httpx2.Response(response.status, headers=headers, stream=body, request=request, extensions=extensions)

    def _body(self, response: aiohttp.ClientResponse) -> ResponseBody:
        return ResponseBody(response)

    def _opened(self) -> aiohttp.ClientSession:
        # aiohttp's session belongs to the running loop, and the transport may be made in a thread.
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=0, ssl=self._tls, keepalive_timeout=KEEPALIVE_SECONDS)
            proxied = any(name.lower() in PROXY_VARIABLES for name in os.environ)
            self._session = aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=proxied, read_bufsize=READ_BUFFER
            )
        return self._session

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()
