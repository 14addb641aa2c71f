"""Rules for text that people send: one place, so that every field treats NUL, controls and length alike."""

import re
import unicodedata
from typing import Final

from domain.errors import InvalidValue

_NEVER_STORED: Final = re.compile("[\x00\ud800-\udfff]")


def line(field: str, value: str, *, minimum: int = 0, maximum: int) -> str:
    """One line, trimmed and in Unicode NFC, of `minimum` to `maximum` characters, without control characters."""
    cleaned = unicodedata.normalize("NFC", value.strip()) if len(value) <= 8 * maximum + 64 else value
    if len(cleaned) < minimum or len(cleaned) > maximum:
        raise InvalidValue(field, f"must have {minimum} to {maximum} characters, has {len(cleaned)}")
    if any(unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"} for char in cleaned):
        raise InvalidValue(field, "must not contain control characters")
    return cleaned


def block(field: str, value: str, *, minimum: int = 0, maximum: int) -> str:
    """Text of several lines, kept as it is but for NUL and lone surrogates, which no database stores."""
    if len(value) < minimum or len(value) > maximum:
        raise InvalidValue(field, f"must have {minimum} to {maximum} characters, has {len(value)}")
    return storable(field, value)


def storable(field: str, value: str) -> str:
    if _NEVER_STORED.search(value):
        raise InvalidValue(field, "must not contain NUL or unpaired surrogates")
    return value


def search_key(value: str) -> str:
    """The form in which names are compared and searched: compatibility-normalised and case-folded."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", value).casefold())
