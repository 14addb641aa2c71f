"""How many tokens a text is, roughly: enough to budget a prompt without any vendor's tables."""

import re
from typing import Final

MOST_TOKENS: Final = (2**31 - 1) // 100
"""More than any model reads at once, and little enough that the sum of a run's 100 turns fits a 32-bit column."""

CHARACTERS_A_TOKEN: Final = 4
"""The most that one has."""
_WIDE: Final = re.compile(
    "["
    "\u1100-\u11ff"  # hangul jamo
    "\u2e80-\u9fff"  # radicals, CJK punctuation, kana, bopomofo, ideographs
    "\ua960-\ua97f\uac00-\ud7ff"  # hangul
    "\uf900-\ufaff\ufe30-\ufe4f"  # compatibility ideographs and forms
    "\uff00-\uffef"  # fullwidth and halfwidth forms
    "\U0001f000-\U0001faff"  # emoji
    "\U00020000-\U0003ffff"  # further ideographs
    "]+"
)


def estimate(text: str) -> int:
    """About one token for each CJK, kana, hangul or fullwidth character, and for each four others."""
    return _tokens(len(text), _wide_characters(text))


class RunningEstimate:
    """The estimate of a text that comes in pieces: that of the whole, for the work of looking at each piece once."""

    __slots__ = ("_characters", "_wide")

    def __init__(self) -> None:
        self._characters = 0
        self._wide = 0

    def add(self, text: str) -> None:
        self._characters += len(text)
        self._wide += _wide_characters(text)

    @property
    def tokens(self) -> int:
        return _tokens(self._characters, self._wide)


def beginning(text: str, tokens: int) -> str:
    """As much of the text as is at most so many tokens: exactly so many, where the text has more.

    What lies beyond is not looked at, however long the text is.
    """
    return text[: reach(text, 0, len(text), max(tokens, 0))]


def quarters(text: str) -> int:
    """The estimate in quarters of a token, not rounded: those of two texts add up to that of both together."""
    return len(text) + (CHARACTERS_A_TOKEN - 1) * _wide_characters(text)


def reach(text: str, start: int, stop: int, tokens: int) -> int:
    """The end, at most `stop`, of the longest piece from `start` that is at most so many tokens."""
    left = CHARACTERS_A_TOKEN * tokens
    stop = min(stop, start + left)
    if text.isascii():
        return stop
    for run in _WIDE.finditer(text, start, stop):
        narrow = run.start() - start
        if narrow >= left:
            break
        left -= narrow
        wide = min(run.end() - run.start(), left // CHARACTERS_A_TOKEN)
        start, left = run.start() + wide, left - wide * CHARACTERS_A_TOKEN
        if start < run.end():
            return start
    return min(stop, start + left)


def reported(value: object) -> int | None:
    """A count as somebody else gives it, brought into range; None where it is no count."""
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return max(0, min(value, MOST_TOKENS))


def _wide_characters(text: str) -> int:
    return 0 if text.isascii() else sum(map(len, _WIDE.findall(text)))


def _tokens(characters: int, wide: int) -> int:
    return wide - (wide - characters) // CHARACTERS_A_TOKEN
