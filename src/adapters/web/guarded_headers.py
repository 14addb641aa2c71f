"""Headers of requests to servers of strangers: what callers may set, and what goes on after a redirect."""

import re
from collections.abc import Iterable
from importlib.metadata import version
from typing import Final

from application.ports.guarded_web import WebRefused
from domain.tools.header_rules import is_header_name, is_reserved

USER_AGENT: Final = f"agentchat/{version('agentchat')}"
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_OF_BODIES: Final = "content-"
_PROVING: Final = frozenset({"authorization", "cookie"})
_BREAKS: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")

Headers = tuple[tuple[str, str], ...]


def check_method(method: str) -> None:
    if method not in METHODS:
        raise WebRefused(f"{method[:20]!r} is no method that may be used; there are {', '.join(sorted(METHODS))}.")


def check_headers(headers: Iterable[tuple[str, str]]) -> None:
    """Raises WebRefused. Values may be secret: no message repeats one."""
    for name, value in headers:
        if not is_header_name(name):
            raise WebRefused(f"{name[:50]!r} is no name of a header.")
        if is_reserved(name):
            raise WebRefused(f"The header {name[:50]} may not be set.")
        if _BREAKS.search(value):
            raise WebRefused(f"The header {name[:50]} has a line break or control character in its value.")


def method_after(status: int, method: str) -> str:
    """As browsers do."""
    if (status in (301, 302) and method == "POST") or (status == 303 and method != "HEAD"):
        return "GET"
    return method


def headers_after(headers: Headers, *, bodiless: bool, elsewhere: bool) -> Headers:
    """What was put among the headers that belongs to the first host is not told to another one."""
    return tuple(
        (name, value)
        for name, value in headers
        if not (bodiless and name.lower().startswith(_OF_BODIES)) and not (elsewhere and name.lower() in _PROVING)
    )


def legible(headers: Iterable[tuple[str, str]]) -> Headers:
    """Of an answer: names in lower case, and no bytes that are no text. They describe a body that is decoded."""
    read = [
        (name.lower(), value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")) for name, value in headers
    ]
    encoded = any(name == "content-encoding" for name, _ in read)
    return tuple(one for one in read if not encoded or one[0] not in ("content-encoding", "content-length"))
