"""What a server was sent to prove who asks must not come back in what it says: a model would be told."""

import html
import json
import re
from base64 import b64decode
from binascii import Error
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import quote, quote_plus, unquote_plus

SHORTEST: Final = 4
"""Characters of what is masked: less is no secret, and stands in any text by chance."""
_LEAST_LOOKED_AT: Final = 50_000
"""Characters beyond those that are shown: as many may fall away where there are many secrets."""


class Mask:
    """Puts `dots` in the place of secrets, in whatever form JSON, addresses and pages have them."""

    def __init__(self, secrets: Iterable[str], dots: str) -> None:
        # Twice, for servers that write JSON within JSON.
        once = {form for secret in secrets for form in _forms(secret)}
        forms = {form for one in once for form in _forms(one) if len(form) >= SHORTEST}
        longest_first = sorted(forms, key=len, reverse=True)
        self._dots = dots
        self._longest = len(longest_first[0]) if longest_first else 0
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def __call__(self, text: str) -> str:
        return self._pattern.sub(self._dots, text) if self._pattern else text

    def looked_at(self, most: int) -> int:
        """Characters of which `beginning` needs one more to show so many of a longer text."""
        return most if self._pattern is None else _LEAST_LOOKED_AT + most + self._longest

    def beginning(self, text: str, most: int) -> str:
        """Of what is masked, at least so many characters, where there are: little more is looked at than is shown."""
        if len(text) <= _LEAST_LOOKED_AT + most:
            return self(text)
        return without_halves(self(text[: _LEAST_LOOKED_AT + most + self._longest]), self._longest)


def without_halves(masked: str, longest: int) -> str:
    """Without what may be the beginning of a secret: where the looking ended there was none to find."""
    return masked[: max(0, len(masked) - longest)]


def proofs_in(scheme: str, rest: str) -> Iterator[str]:
    """The secrets of a header such as Authorization, behind its scheme."""
    yield rest.strip()
    if scheme.lower() == "basic":
        try:
            pair = b64decode(rest.strip(), validate=True).decode()
        except (Error, UnicodeDecodeError):
            return
        yield pair
        yield pair.partition(":")[2]


def _forms(secret: str) -> set[str]:
    escaped = {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    in_addresses = {quote(secret, errors="replace"), quote(secret, "", errors="replace")}
    return {
        *(secret, secret.strip(), unquote_plus(secret), quote_plus(secret, errors="replace"), *in_addresses),
        *(html.escape(secret), *escaped, *(one.replace("/", "\\/") for one in escaped)),
    }
