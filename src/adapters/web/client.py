"""The HTTP client that providers' SDKs share. Importing this imports no HTTP library."""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx2


class WebClient:
    """Gives the one client, made when first asked for (from any thread). Close it when nobody needs it any more."""

    def __init__(self, make: "Callable[[], httpx2.AsyncClient] | None" = None) -> None:
        self._make = make or _client
        self._client: httpx2.AsyncClient | None = None
        self._making = threading.Lock()

    def __call__(self) -> "httpx2.AsyncClient":
        with self._making:
            if self._client is None:
                self._client = self._make()
            return self._client

    async def aclose(self) -> None:
        if self._client is not None:
            await self._client.aclose()


def _client() -> "httpx2.AsyncClient":
    from adapters.web.lean import LeanClient
    from adapters.web.transport import AiohttpTransport

    return LeanClient(AiohttpTransport())
