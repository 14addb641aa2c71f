"""Credentials must not come back: a server that says what it was asked with would tell them to the model."""

import html
import json
import re
from base64 import b64decode
from binascii import Error
from collections.abc import Iterator
from typing import Final
from urllib.parse import quote, quote_plus, unquote_plus

from domain.credentials import Credentials

MASK: Final = "***"
SHORTEST: Final = 4
"""Characters of what is masked: less is no secret, and stands in any text by chance."""

_LEAST_LOOKED_AT: Final = 50_000
"""Characters beyond those that are shown: as many may fall away where there are many secrets."""


class Mask:
    def __init__(self, credentials: Credentials) -> None:
        # Twice, for servers that write JSON within JSON.
        once = {form for secret in _secrets(credentials) for form in _forms(secret)}
        secrets = {form for secret in once for form in _forms(secret) if len(form) >= SHORTEST}
        longest_first = sorted(secrets, key=len, reverse=True)
        self._longest = len(longest_first[0]) if longest_first else 0
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def __call__(self, text: str) -> str:
        return self._pattern.sub(MASK, text) if self._pattern else text

    def looked_at(self, most: int) -> int:
        """Characters of which `beginning` needs one more to show so many of a longer text."""
        return most if self._pattern is None else _LEAST_LOOKED_AT + most + self._longest

    def beginning(self, text: str, most: int) -> str:
        """Of what is masked, at least so many characters, where there are: no more is looked at than is shown.

        A secret that is cut off where the looking ends is no secret to the pattern: so that end is left out.
        """
        if not self._pattern or len(text) <= _LEAST_LOOKED_AT + most:
            return self(text)
        return self(text[: _LEAST_LOOKED_AT + most + self._longest])[: -self._longest]


def _secrets(credentials: Credentials) -> Iterator[str]:
    for _, value in (*credentials.headers, *credentials.query):
        yield value
        scheme, _, rest = value.partition(" ")
        if not rest:
            continue
        yield rest.strip()
        if scheme.lower() == "basic":
            try:
                pair = b64decode(rest.strip(), validate=True).decode()
            except (Error, UnicodeDecodeError):
                continue
            yield pair
            yield pair.partition(":")[2]


def _forms(secret: str) -> set[str]:
    """As it is, and as it stands in addresses, JSON and pages."""
    escaped = {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    return {
        *(secret, secret.strip(), unquote_plus(secret), quote(secret), quote(secret, safe=""), quote_plus(secret)),
        *(html.escape(secret), *escaped, *(one.replace("/", "\\/") for one in escaped)),
    }
