"""The guarded web: for requests one by one, and as a client for SDKs. Importing this imports no HTTP library."""

import asyncio
import threading
from typing import TYPE_CHECKING, Final

from application.ports.guarded_web import WebAnswer, WebRequest
from domain.tools.addresses import Reach

if TYPE_CHECKING:
    import ssl

    import aiohttp
    import httpx2

    from adapters.web.guarded_connections import Resolve
    from adapters.web.lookups import SystemResolve

STREAM_BYTES: Final = 64 << 20


class GuardedHttp:
    """Implements GuardedWeb. One for a process; close it when the server stops.

    Each request has a connection of its own, so that no two users meet on one. A client of `client` keeps its
    connections, and shares them with no other client: give each user, or each key, one of his own.
    """

    def __init__(self, reach: Reach, *, resolve: "Resolve | None" = None, tls: "ssl.SSLContext | None" = None) -> None:
        self._reach = reach
        self._given = resolve
        self._own: SystemResolve | None = None
        self._tls = tls
        self._making = threading.Lock()
        self._session: aiohttp.ClientSession | None = None

    async def send(self, request: WebRequest) -> WebAnswer:
        if self._session is None:
            # The first one imports the HTTP library and reads certificates.
            await asyncio.to_thread(self._prepare)
        from adapters.web.guarded_exchange import exchange

        return await exchange(self._opened(), request)

    def client(self, *, max_bytes: int = STREAM_BYTES, redirects: int = 5) -> "httpx2.AsyncClient":
        """Whoever asks for it closes it. The first one takes a second: make it in a thread.

        `max_bytes` is of one answer, however long it streams.

        It follows redirects within the origin that was asked, and no others: all that was sent would go along.
        What the guard refuses is raised as httpx2.ConnectError, with the WebRefused as its cause.
        """
        from adapters.web.guarded_client import guarded_client

        resolve, tls = self._prepare()
        return guarded_client(self._reach, resolve, tls, max_bytes=max_bytes, redirects=redirects)

    def _prepare(self) -> "tuple[Resolve, ssl.SSLContext]":
        import httpx2

        from adapters.web import guarded_exchange as _  # noqa: F401 - imported here, where it may take its time
        from adapters.web.lookups import SystemResolve

        with self._making:
            if self._tls is None:
                self._tls = httpx2.create_ssl_context()
            if self._given is None:
                self._given = self._own = SystemResolve()
            return self._given, self._tls

    def _opened(self) -> "aiohttp.ClientSession":
        from adapters.web.guarded_connections import guarded_connector, guarded_session

        if self._session is None:
            self._session = guarded_session(guarded_connector(self._reach, *self._prepare(), keep=False))
        return self._session

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()
        if self._own is not None:
            self._own.close()
