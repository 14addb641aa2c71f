"""Whose pages may speak to the MCP server from a browser."""

from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from litestar.types import ASGIApp, Receive, Scope, Send

from domain.errors import Forbidden

_WEB: Final = {"http", "https"}


class RefuseForeignOrigins:
    """A page that rebinds its own name to this server's address has the right Host, so that a name proves nothing.

    Programs that are no browsers send no Origin.
    """

    def __init__(self, app: ASGIApp, allowed: tuple[str, ...]) -> None:
        self.app = app
        self.allowed = allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(name, value.decode("latin-1")) for name, value in scope["headers"]]
        origins = [value for name, value in headers if name == b"origin"]
        host = next((value for name, value in headers if name == b"host"), "")
        if scope.get("method") != "OPTIONS" and not all(may_speak(one, host, self.allowed) for one in origins):
            raise Forbidden("origin_not_allowed", "Pages of this origin may not use this address: see cors_origins.")
        await self.app(scope, receive, send)


def may_speak(origin: str, host: str, allowed: tuple[str, ...]) -> bool:
    if "*" in allowed or origin in allowed:
        return True
    try:
        split = urlsplit(origin)
        return split.scheme in _WEB and split.netloc == host and _names_a_machine(split.hostname or "")
    except ValueError:
        return False


def origin_of(url: str) -> str:
    split = urlsplit(url)
    return f"{split.scheme}://{split.netloc}"


def _names_a_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
