"""Addresses of other people's servers, as users write them. Whether they may be asked is decided elsewhere."""

import re
import unicodedata
from ipaddress import IPv4Address, IPv6Address
from typing import Final
from urllib.parse import urlsplit

from domain.addresses import looks_numeric
from domain.errors import InvalidValue
from domain.text import line

URL_MAX: Final = 2048
_NEVER: Final = frozenset(' \\"<>^`{|}')
_HOST_MAX: Final = 253
_NAME: Final = re.compile(r"[a-z0-9_](?:[a-z0-9._-]*[a-z0-9_.])?", re.ASCII)

Origin = tuple[str, str | None, int | None]


def http_address(field: str, raw: str, example: str) -> str:
    """Without its fragment. Raises InvalidValue."""
    url = line(field, raw, minimum=1, maximum=URL_MAX)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise InvalidValue(field, f"must be an http(s) address such as {example}") from error
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0 or set(url) & _NEVER:
        raise InvalidValue(field, f"must be an http(s) address such as {example}")
    if "@" in parts.netloc:
        raise InvalidValue(field, "must not hold a name or a password: they have fields of their own")
    if not _is_host(parts.netloc, parts.hostname):
        raise InvalidValue(field, f"must name a host as it is written in the DNS, or an IP address: {example}")
    return url.split("#", 1)[0]


def _is_host(authority: str, host: str) -> bool:
    """Clients of HTTP read other spellings each in its own way, or not at all."""
    try:
        if authority.startswith("["):
            return IPv6Address(host).scope_id is None
        if looks_numeric(host):
            return str(IPv4Address(host)) == host
    except ValueError:
        return False
    return len(host) <= _HOST_MAX and ".." not in host and _NAME.fullmatch(_in_ascii(host)) is not None


def _in_ascii(host: str) -> str:
    """With an x for each letter of another script. Those that only look like a plain one or a digit stay."""
    if host.isascii() or unicodedata.normalize("NFKC", host) != host:
        return host
    return "".join("x" if ord(one) > 127 and unicodedata.category(one)[0] in "LM" else one for one in host)


def origin_of(url: str) -> Origin:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)
