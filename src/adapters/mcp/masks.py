"""What a server was sent to prove who asks must not come back in what it says: a model would be told."""

import json
import re
from base64 import b64decode
from binascii import Error
from collections.abc import Iterator
from typing import Final
from urllib.parse import quote, quote_plus

from adapters.mcp.words import DOTS, cut
from domain.mcp_servers import McpAddress

_SHORTEST: Final = 4
_SPARE: Final = 50_000
"""Characters looked at beyond those that are shown: as many may fall away where there are many secrets."""
_NO_SECRETS: Final = frozenset(
    ("true", "false", "none", "null", "debug", "info", "warning", "error", "production", "development", "localhost")
)
_NO_SECRET_HEADERS: Final = frozenset(("accept", "accept-language", "content-type", "user-agent"))


class Mask:
    """Of headers and variables, whole. Addresses and arguments hold words that results must keep: see `Masked`."""

    def __init__(self, address: McpAddress) -> None:
        # Twice, for servers that write JSON within JSON.
        once = {form for secret in _secrets(address) for form in _forms(secret)}
        longest_first = sorted({form for one in once for form in _forms(one)}, key=len, reverse=True)
        self._longest = len(longest_first[0]) if longest_first else 0
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def __call__(self, text: str) -> str:
        return self._pattern.sub(DOTS, text) if self._pattern else text

    def beginning(self, text: str, most: int) -> str:
        """Of what is masked, at least so many characters, where there are: little more is looked at than is shown."""
        if len(text) <= _SPARE + most:
            return self(text)
        return cut(self(text[: _SPARE + most + self._longest]), self._longest)


def _secrets(address: McpAddress) -> Iterator[str]:
    headers = [value for name, value in address.headers if name.lower() not in _NO_SECRET_HEADERS]
    for value in (*headers, *(value for _, value in address.env)):
        for one in _parts(value.strip()):
            if len(one) >= _SHORTEST and one.lower() not in _NO_SECRETS:
                yield one


def _parts(value: str) -> Iterator[str]:
    yield value
    scheme, _, rest = value.partition(" ")
    if scheme.lower() not in ("bearer", "basic", "token", "apikey"):
        return
    yield rest.strip()
    if scheme.lower() == "basic":
        try:
            pair = b64decode(rest.strip(), validate=True).decode()
        except (Error, UnicodeDecodeError):
            return
        yield pair
        yield pair.partition(":")[2]


def _forms(secret: str) -> set[str]:
    """As it is, and as it stands in JSON and in addresses."""
    escaped = {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    slashed = {one.replace("/", "\\/") for one in escaped}
    return {secret, quote(secret, errors="replace"), quote(secret, "", errors="replace"), *escaped, *slashed} | {
        quote_plus(secret, errors="replace")
    }
