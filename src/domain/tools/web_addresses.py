"""Addresses of other people's servers, as users write them. Whether they may be asked is decided elsewhere."""

import unicodedata
from typing import Final
from urllib.parse import urlsplit

from domain.errors import InvalidValue
from domain.text import line
from domain.tools.addresses import is_host

URL_MAX: Final = 2048
_NEVER: Final = frozenset(' \\"<>^`{|}')

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
    if not is_host(f"[{parts.hostname}]" if parts.netloc.startswith("[") else _in_ascii(parts.hostname)):
        raise InvalidValue(field, f"must name a host as it is written in the DNS, or an IP address: {example}")
    return url.split("#", 1)[0]


def _in_ascii(host: str) -> str:
    """With a z, which is in no number, for each letter of another script. What only looks like a plain one stays."""
    if host.isascii() or unicodedata.normalize("NFKC", host) != host:
        return host
    return "".join("z" if ord(one) > 127 and unicodedata.category(one)[0] in "LM" else one for one in host)


def origin_of(url: str) -> Origin:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)
