"""Rules for headers that people have sent to somebody else's server: nothing in them may end or reshape the request."""

import re
from typing import Final

from domain.errors import InvalidValue

NAME_MAX: Final = 128
VALUE_MAX: Final = 8192
RESERVED: Final = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-length",
        "expect",
        "host",
        "http2-settings",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""They are the connection's own: they say how the bytes of a message are to be read, and by whom."""
_OF_PROXIES: Final = "proxy-"

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VISIBLE: Final = re.compile(r"[\x20-\x7e]+")


def is_reserved(name: str) -> bool:
    """Whoever sets such a one can hide a second message in the first."""
    return name.lower() in RESERVED or name.lower().startswith(_OF_PROXIES)


def is_header_name(name: str) -> bool:
    return _TOKEN.fullmatch(name) is not None


def header_name(field: str, raw: str) -> str:
    name = raw.strip()
    if len(name) > NAME_MAX or not is_header_name(name):
        raise InvalidValue(field, f"must be the name of a header such as X-Api-Key, of at most {NAME_MAX} characters")
    if is_reserved(name):
        raise InvalidValue(field, "must be a header that is not the connection's own")
    return name


def header_value(field: str, raw: str) -> str:
    """What is refused is never repeated: it is a secret."""
    value = raw.strip()
    if len(value) > VALUE_MAX or not _VISIBLE.fullmatch(value):
        raise InvalidValue(field, f"must be 1 to {VALUE_MAX} visible ASCII characters")
    return value
