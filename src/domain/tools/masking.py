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
_ESCAPED_BY_SOME: Final = ("&<>", "&'+<>`\"")
"""By writers of JSON who think of pages: with these keys in base64 don't read as they are."""
_CODE: Final = re.compile("%[0-9A-F]{2}")
MOST_WORK: Final = 200_000
A_FORM: Final = 100
"""Of a search, in characters. So of secrets that are very long or many fewer forms are known than of others."""
_LEAST_LOOKED_AT: Final = 50_000
"""Characters beyond those that are shown: as many may fall away where there are many secrets."""


class Mask:
    """Puts `dots` in the place of secrets, in whatever form JSON, addresses and pages have them."""

    def __init__(self, secrets: Iterable[str], dots: str) -> None:
        forms = [form for form in forms_of(set(secrets)) if len(form) >= SHORTEST]
        self._forms = sorted(forms, key=lambda form: (-len(form), form))
        self._dots = dots
        self._longest = len(self._forms[0]) if forms else 0

    def __call__(self, text: str) -> str:
        # Not one expression for all: those of strangers would take seconds to be made, and lie in a cache for ever.
        for form in self._forms:
            text = text.replace(form, self._dots)
        return text

    def looked_at(self, most: int) -> int:
        """Characters of which `beginning` needs one more to show so many of a longer text."""
        return _LEAST_LOOKED_AT + most + self._longest if self._forms else most

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


def forms_of(secrets: set[str]) -> set[str]:
    """The secrets themselves, and how they may be written: those of the short ones first, as far as the work goes."""
    known, left = set(secrets), MOST_WORK
    for secret in sorted(secrets, key=len):
        once = _forms(secret)
        # For servers that write JSON within JSON.
        twice = once.union(*map(_forms, once)) if _work(once) * len(once) <= left else once
        new = twice if _work(twice) <= left else once
        left -= _work(new)
        if left < 0:
            break
        known |= new
    return known


def _work(forms: set[str]) -> int:
    return sum(A_FORM + len(form) for form in forms)


def _forms(secret: str) -> set[str]:
    escaped = {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    in_addresses = {
        quote(secret, errors="replace"),
        quote(secret, "", errors="replace"),
        quote_plus(secret, errors="replace"),
    }
    return {
        *(secret, secret.strip(), unquote_plus(secret), html.escape(secret)),
        *in_addresses,
        *(_CODE.sub(lambda code: code[0].lower(), one) for one in in_addresses),
        *escaped,
        *(one.replace("/", "\\/") for one in escaped),
        *_in_cautious_json(json.dumps(secret, ensure_ascii=False)[1:-1]),
    }


def _in_cautious_json(escaped: str) -> Iterator[str]:
    for characters in _ESCAPED_BY_SOME:
        for code in ("\\u%04x", "\\u%04X"):
            quotes = escaped.replace('\\"', '"') if '"' in characters else escaped
            yield quotes.translate({ord(one): code % ord(one) for one in characters})
