"""Where the operations of a document are: its servers."""

import re
from typing import Final
from urllib.parse import quote, urlsplit

from adapters.openapi.places import Node

_VARIABLE: Final = re.compile(r"\{([^{}]{1,200})\}")
_FORBIDDEN: Final = re.compile(r"[\x00-\x20\x7f\\{}<>\"^`|]")
_LONGEST: Final = 2_000


def server_of(*levels: Node) -> str:
    """The first server of the first level that names any: of the operation, of its path, of the document."""
    for level in levels:
        servers = level.items("servers")
        if servers:
            return _address(servers[0])
    raise levels[-1].wrong("name the server: servers: [{url: https://…}]")


def origin_of(server: str) -> str:
    """Who is asked: scheme, host and port. Of an address that `server_of` gave."""
    parts = urlsplit(server)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return f"{parts.scheme}://{parts.hostname}:{port}"


def is_step(segment: str) -> bool:
    return segment in (".", "..")


def _address(server: Node) -> str:
    url = _filled(server)
    place = server.child("url") or server
    if len(url) > _LONGEST or _FORBIDDEN.search(url):
        raise place.wrong("is no address: it is too long, or holds blanks, controls or braces")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as problem:
        raise place.wrong("is no address") from problem
    if not parts.scheme and not parts.netloc:
        raise place.wrong(f"{url[:100]!r} is relative, and to what nobody knows: write the whole address, https://…")
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise place.wrong("must be an http:// or https:// address with a host")
    if "@" in parts.netloc:
        raise place.wrong("must not hold a name or password; these go into auth_config")
    if parts.query or parts.fragment or "?" in url or "#" in url:
        raise place.wrong("must not hold a query or a fragment")
    if any(map(is_step, parts.path.split("/"))):
        raise place.wrong("must not hold . or .. in its path")
    path = quote(parts.path, safe="/%:@!$&'()*+,;=~")
    return f"{parts.scheme}://{parts.netloc}{path}".rstrip("/")


def _filled(server: Node) -> str:
    """With the defaults of its variables."""
    url = server.text("url").strip()
    if not url:
        raise server.wrong("needs a url")
    variables = server.child("variables")

    def default(found: re.Match[str]) -> str:
        variable = variables.child(found[1]) if variables else None
        if variable is None:
            raise server.wrong(f"there is no variable {found[1]!r}")
        value = variable.mapping.get("default")
        if not isinstance(value, str | int | float) or isinstance(value, bool):
            raise variable.wrong("needs a default")
        return str(value)

    return _VARIABLE.sub(default, url[: _LONGEST + 1])
