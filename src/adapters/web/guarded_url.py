"""Addresses as users, models and redirects write them: one reading, or none.

What one reader takes for a path and the next one for a host is how guards are passed. So the text is taken apart
here, put together again from its parts, and only that is used. Which machine it leads to is checked at the socket.
"""

import re
import string
from typing import Final
from urllib.parse import quote, quote_plus, unquote_plus, urljoin

import yarl

from application.ports.guarded_web import WebRefused
from domain.tools.addresses import HIGHEST_PORT, is_host
from domain.tools.credentials import Credentials

LONGEST: Final = 8_192
SHOWN: Final = 100
_PARTS: Final = re.compile(r"(https?)://([^/?#]*)([^#]*)", re.IGNORECASE | re.ASCII)
_AUTHORITY: Final = re.compile(r"(?:\[[0-9a-fA-F:.]+\]|[^\[\]:]+)(?::[0-9]{0,5})?")
_NEVER: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\\]")
_KEPT: Final = "".join(sorted(set(string.punctuation) - set('"<>\\^`{|}')))

Origin = tuple[str, str, int]


def checked(text: str) -> yarl.URL:
    """Raises WebRefused."""
    text = text.strip(" ")
    if len(text) > LONGEST:
        raise WebRefused(f"An address has at most {LONGEST:,} characters.")
    if _NEVER.search(text):
        raise WebRefused(f"{shown(text)} is no address: it has a control character or a backslash.")
    found = _PARTS.match(text)
    if found is None:
        raise WebRefused(f"{shown(text)} is no address that begins with http:// or https://.")
    scheme, authority, rest = found[1].lower(), found[2], found[3]
    if "@" in authority:
        raise WebRefused("An address may not hold a user name or password.")
    host, port = _host_and_port(scheme, authority)
    try:
        # What came in a header may hold bytes that are no UTF-8.
        path = quote(rest.encode("utf-8", "surrogateescape"), safe=_KEPT)
    except UnicodeEncodeError:
        raise WebRefused(f"{shown(text)} is no address: it has a character that is none.") from None
    return yarl.URL(f"{scheme}://{host}{port}{'' if path.startswith('/') else '/'}{path}", encoded=True)


def _host_and_port(scheme: str, authority: str) -> tuple[str, str]:
    host, port = "", None
    if _AUTHORITY.fullmatch(authority):
        try:
            read = yarl.URL(f"{scheme}://{authority}/")
            host, port = (read.host_subcomponent or "").lower(), read.explicit_port
        except ValueError:
            host = ""
    if not is_host(host) or not (port is None or 0 < port <= HIGHEST_PORT):
        raise WebRefused(f"{shown(authority) or 'Nothing'} is no host that can be asked.")
    return host, "" if port is None else f":{port}"


def redirected(base: yarl.URL, location: str) -> yarl.URL:
    """Where a redirect leads. Raises WebRefused."""
    if _NEVER.search(location):
        raise WebRefused(f"{shown(base.host or '')} redirects to what is no address.")
    try:
        return checked(urljoin(str(base), location.strip(" ")))
    except ValueError:
        raise WebRefused(f"{shown(base.host or '')} redirects to what is no address.") from None


def origin(url: yarl.URL) -> Origin:
    return url.scheme, url.raw_host or "", url.port or 0


def with_query(url: yarl.URL, credentials: Credentials) -> yarl.URL:
    """With the parameters that prove who asks."""
    if not credentials.query:
        return url
    added = "&".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in credentials.query)
    asked = f"{url.raw_query_string}&{added}" if url.raw_query_string else added
    return _with_raw_query(url, asked)


def without_query(url: yarl.URL, credentials: Credentials) -> yarl.URL:
    """Servers repeat what they were asked in their redirects: so a key would go to another host."""
    if not credentials.query or not url.raw_query_string:
        return url
    secret = {value for _, value in credentials.query}
    pieces = url.raw_query_string.split("&")
    kept = [piece for piece in pieces if unquote_plus(piece.partition("=")[2]) not in secret]
    return url if len(kept) == len(pieces) else _with_raw_query(url, "&".join(kept))


def _with_raw_query(url: yarl.URL, query: str) -> yarl.URL:
    return yarl.URL.build(
        scheme=url.scheme,
        authority=url.raw_authority,
        path=url.raw_path,
        query_string=query,
        encoded=True,
    )


def shown(text: str) -> str:
    """For a message: its beginning, on one line."""
    plain = "".join(character if character.isprintable() else "?" for character in text[: SHOWN + 1])
    return plain if len(plain) <= SHOWN else f"{plain[:SHOWN]}…"
