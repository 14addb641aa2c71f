"""A text as the model reads it: what its C code must never see is taken out, and what it would not read is cut."""

import re
import unicodedata
from collections.abc import Callable
from typing import Final

MOST_TOKENS: Final = 512
"""With the beginning and the end that the model adds. A longer text it would read in several runs, for the average."""
MOST_CHARS: Final = 16_000
"""No text of so many characters has fewer tokens than the model reads, but for rows of one and the same sign."""
MOST_WHITE_SPACE: Final = 100_000

_NEVER: Final = re.compile("[\x00\ud800-\udfff]")
"""NUL would end the text, and half a character has no UTF-8."""
_OVERFLOWING: Final = "\ufdfa"
"""Read as 18 characters, where the tokenizer has room for 12: a row of them writes over its memory."""
_INSTEAD: Final = unicodedata.normalize("NFKC", _OVERFLOWING)


def legible(text: str) -> str:
    """Without what can't be read. White space of any length is one space: to the model it is."""
    plain = _NEVER.sub(" ", text[:MOST_WHITE_SPACE])
    return " ".join(plain.split())[:MOST_CHARS].replace(_OVERFLOWING, _INSTEAD)[:MOST_CHARS]


def cut(text: str, count: Callable[[str], int], most: int = MOST_TOKENS) -> str:
    """The longest beginning, nearly, that has at most so many tokens. `count` grows with the text, nearly."""
    if count(text) <= most:
        return text
    low, high = 0, len(text)
    while high - low > 1:
        middle = (low + high) // 2
        if count(text[:middle]) <= most:
            low = middle
        else:
            high = middle
    return text[:low]
