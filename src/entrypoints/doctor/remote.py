"""The server as a client meets it, through whatever proxy stands before it. Proxies of the environment are not used."""

import os
import secrets
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import perf_counter
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
import msgspec

CONNECT_SECONDS: Final = 4.0
LONGEST_FETCHED: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Answer:
    """`envelope` is None for what our server never sends: another's page, or nothing."""

    status: int
    envelope: dict[str, Any] | None
    seconds: float

    @property
    def data(self) -> dict[str, Any]:
        data = (self.envelope or {}).get("data")
        return data if isinstance(data, dict) else {}

    @property
    def code(self) -> str:
        error = (self.envelope or {}).get("error")
        return str(error.get("code", "")) if isinstance(error, dict) else ""


class Remote:
    """Raises Unreachable for a connection that can't be made or breaks."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self.certificate_verified = False
        self._session: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS)
        self._session = aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def get(self, path: str, token: str = "") -> Answer:
        return await self._answer("GET", path, bearer(token), None)

    async def post(self, path: str, body: object, token: str = "") -> Answer:
        headers = {"Content-Type": "application/json"} | bearer(token)
        return await self._answer("POST", path, headers, msgspec.json.encode(body))

    async def delete(self, path: str, token: str) -> Answer:
        return await self._answer("DELETE", path, bearer(token), None)

    async def upload(self, name: str, content: bytes, token: str) -> Answer:
        """Upload a file. Raises Unreachable."""
        boundary = secrets.token_hex(16)
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
        headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"} | bearer(token)
        form = head.encode() + content + f"\r\n--{boundary}--\r\n".encode()
        return await self._answer("POST", "/api/v1/upload", headers, form)

    async def fetch(self, address: str) -> tuple[int, bytes]:
        """What anybody gets at an address, wherever it is: the status and at most 1 MiB. Raises Unreachable."""
        try:
            async with self._session.get(address, allow_redirects=False) as response:
                return response.status, await first(response.content)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise Unreachable(reason(error)) from None

    @asynccontextmanager
    async def open(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The response with its body unread; leaving cuts the connection. It may come compressed, as to a browser."""
        try:
            response = await self._session.request(
                method, f"{self.url}{path}", headers=headers, data=body, allow_redirects=False
            )
        except (aiohttp.ClientError, OSError) as error:
            raise Unreachable(reason(error)) from None
        try:
            yield response
        except (aiohttp.ClientError, ConnectionError) as error:
            raise Unreachable(reason(error)) from None
        finally:
            response.close()

    async def _answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
        begun = perf_counter()
        async with self.open(method, path, headers, body) as response:
            return Answer(response.status, envelope_of(await response.read()), perf_counter() - begun)


class Unreachable(Exception):
    """The message says why, in the system's words."""


async def first(content: aiohttp.StreamReader) -> bytes:
    """The body, at most LONGEST_FETCHED of it: one read gives only what has arrived by then."""
    body = bytearray()
    while len(body) < LONGEST_FETCHED and (piece := await content.read(LONGEST_FETCHED - len(body))):
        body += piece
    return bytes(body)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}


def envelope_of(body: bytes) -> dict[str, Any] | None:
    """The body, if it is one of our server's."""
    try:
        read = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return read if isinstance(read, dict) and {"status_code", "status_message"} <= read.keys() else None


def reason(error: BaseException) -> str:
    """Why a connection failed, without an address: it is known, and the text of an exception may hold more."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return reason(error.certificate_error)
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is refused: {error.verify_message}"
    if isinstance(error, aiohttp.ClientSSLError | ssl.SSLError):
        return "there is no TLS, or one that can't be agreed on"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "there is no such host"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, aiohttp.ClientConnectorError):
        return reason(error.os_error)
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        return os.strerror(error.errno).lower()
    return "the connection was cut"
