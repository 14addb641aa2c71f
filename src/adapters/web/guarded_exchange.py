"""One request to a server of strangers, and its redirects: each is checked like the first."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import aiohttp
import yarl
from aiohttp.http_exceptions import HttpProcessingError

from adapters.web.guarded_headers import (
    REDIRECTS,
    USER_AGENT,
    Headers,
    check_headers,
    check_method,
    headers_after,
    legible,
    method_after,
)
from adapters.web.guarded_url import checked, origin, redirected, shown, with_query, without_query
from adapters.web.lookups import TooManyLookups
from application.ports.guarded_web import WebAnswer, WebFailed, WebRefused, WebRequest
from domain.tools.credentials import Credentials


@dataclass(frozen=True, slots=True)
class Step:
    """One request of a chain of redirects."""

    method: str
    url: yarl.URL
    headers: Headers
    body: bytes | None
    credentials: Credentials

    def after(self, status: int, location: str) -> "Step":
        url = redirected(without_query(self.url, self.credentials), location)
        url = without_query(url, self.credentials)
        elsewhere = origin(url) != origin(self.url)
        method = method_after(status, self.method)
        bodiless = method != self.method
        return Step(
            method,
            url,
            headers_after(self.headers, bodiless=bodiless, elsewhere=elsewhere),
            None if bodiless else self.body,
            # Not given back when a redirect leads home again: then somebody else chose what is asked there.
            Credentials() if elsewhere else self.credentials,
        )


async def exchange(session: aiohttp.ClientSession, request: WebRequest) -> WebAnswer:
    """Raises WebRefused and WebFailed."""
    check_method(request.method)
    check_headers(request.headers)
    check_headers(request.credentials.headers)
    url = checked(request.url)
    step = Step(request.method, url, request.headers, request.body, request.credentials)
    try:
        async with asyncio.timeout(request.limits.seconds):
            return await _followed(session, step, request)
    except TimeoutError:
        seconds = request.limits.seconds
        raise WebFailed(f"{shown(url.host or '')} took longer than {seconds:g} seconds.") from None


async def _followed(session: aiohttp.ClientSession, step: Step, request: WebRequest) -> WebAnswer:
    for _ in range(request.limits.redirects + 1):
        with failures_of(step.url):
            async with _asked(session, step) as response:
                location = response.headers.get("location") if response.status in REDIRECTS else None
                if location is None:
                    return await _answer(response, step, request.limits.max_bytes)
                response.close()
        step = step.after(response.status, location)
    raise WebFailed(f"{shown(step.url.host or '')} redirects too often.")


def _asked(session: aiohttp.ClientSession, step: Step) -> "aiohttp.client._RequestContextManager":
    proving = {name.lower() for name, _ in step.credentials.headers}
    plain = [(name, value) for name, value in step.headers if name.lower() not in proving]
    headers = [("User-Agent", USER_AGENT)] if not any(name.lower() == "user-agent" for name, _ in plain) else []
    return session.request(
        step.method,
        with_query(step.url, step.credentials),
        headers=[*headers, *plain, *step.credentials.headers],
        data=step.body,
        allow_redirects=False,
        skip_auto_headers=("Content-Type",),
    )


async def _answer(response: aiohttp.ClientResponse, step: Step, most: int) -> WebAnswer:
    """Its body is decoded piece by piece, and no further than it is wanted."""
    body, cut = bytearray(), False
    async for piece in response.content.iter_any():
        body += piece
        if cut := len(body) > most:
            response.close()
            break
    return WebAnswer(response.status, str(step.url), legible(response.headers.items()), bytes(body[:most]), cut)


@contextmanager
def failures_of(url: yarl.URL) -> Iterator[None]:
    """As WebFailed, in words that hold nothing of what was sent or found out."""
    host = shown(url.host or "")
    try:
        yield
    except (WebRefused, WebFailed):
        raise
    except aiohttp.ClientConnectorDNSError as error:
        if isinstance(error.os_error, TooManyLookups):
            raise WebFailed(f"{host} is not looked up: too many names are at this moment. Try again.") from error
        raise WebFailed(f"There is no host {host}, or nobody knows it now.") from error
    except aiohttp.ClientSSLError as error:
        raise WebFailed(f"{host} has no certificate that can be trusted.") from error
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
        raise WebFailed(f"{host} can't be reached.") from error
    except (aiohttp.ClientResponseError, HttpProcessingError) as error:
        raise WebFailed(f"{host} sent something that can't be read as HTTP.") from error
    except (aiohttp.ClientPayloadError, aiohttp.ClientConnectionError) as error:
        raise WebFailed(f"{host} broke its answer off, or sent what can't be decoded.") from error
    except (aiohttp.ClientError, OSError, ValueError, RuntimeError) as error:
        # uvloop has its own idea of what a failed connect raises.
        raise WebFailed(f"{host} can't be asked.") from error
