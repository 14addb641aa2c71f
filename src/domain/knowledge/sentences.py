"""Where a text may be cut: at paragraphs, sentences, lines, clauses and words, of Chinese and English."""

import re
import unicodedata
from collections.abc import Callable, Iterator
from typing import Final

Ends = Callable[[str, int, int], Iterator[int]]
"""Places in the text from the first to the second position, both included, in order; white space follows a place."""

_SPACE: Final = re.compile(r"\s*")
_PARAGRAPH: Final = re.compile(r"\n(?=[^\S\n]{0,80}\n)")
_LINE: Final = re.compile(r"\n")
_CLOSERS: Final = "\"'\u2019\u201d\u300d\u300f\uff09\u3011\u300b)\\]*_"
_SENTENCE: Final = re.compile(
    rf"[\u3002\uff01\uff1f\uff1b][\u3002\uff01\uff1f\uff1b.!?{_CLOSERS}]{{0,8}}"
    rf"|[.!?]{{1,8}}[{_CLOSERS}]{{0,8}}(?=\s)"
    # An item of a list is a sentence, whatever it ends with.
    r"|\n(?=[^\S\n]{0,8}(?:[-*+\u2022]|\d{1,3}[.)])[^\S\n])"
)
_CLAUSE: Final = re.compile(r"[\uff0c\u3001\uff1a]|[,;:](?=\s)")
_WORD: Final = re.compile(r"(?<=\S)\s")
_ABBREVIATION: Final = re.compile(
    r"(?:\b(?:Dr|Mr|Mrs|Ms|Prof|St|Sr|Jr|Gen|Col|Rev|Hon|Mt|vs|cf|e\.g|i\.e|al|ca|approx|Fig|Figs|Eq|Sec|Ch|No|Nos"
    r"|Vol|pp?|ed|eds|Inc|Ltd|Corp|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)"
    # An initial, and the number of a list's item.
    r"|(?<![^\W_])[A-Z]|(?:^|\n)[^\S\n]{0,8}(?:\d{1,3}|[a-z]))\.$",
    re.IGNORECASE,
)
_LONGEST_ABBREVIATION: Final = 12
_LONGEST_CLUSTER: Final = 32


def paragraph_ends(text: str, first: int, last: int) -> Iterator[int]:
    return _starts(_PARAGRAPH, text, first, last, 82)


def sentence_ends(text: str, first: int, last: int) -> Iterator[int]:
    """Not behind an abbreviation, an initial or the number of an item; a point inside a number is none."""
    for match in _SENTENCE.finditer(text, first - 1 if first else 0, last + 12):
        at = match.start() if match[0] == "\n" else match.end()
        if first <= at <= last and not (match[0] == "." and _goes_on(text, match.end())):
            yield at


def line_ends(text: str, first: int, last: int) -> Iterator[int]:
    return _starts(_LINE, text, first, last, 1)


def clause_ends(text: str, first: int, last: int) -> Iterator[int]:
    for match in _CLAUSE.finditer(text, first - 1 if first else 0, last + 1):
        if first <= match.end() <= last:
            yield match.end()


def word_ends(text: str, first: int, last: int) -> Iterator[int]:
    return _starts(_WORD, text, first, last, 1)


STRONGEST_FIRST: Final[tuple[Ends, ...]] = (paragraph_ends, sentence_ends, line_ends, clause_ends, word_ends)


def after_space(text: str, at: int, stop: int) -> int:
    """Where the white space that begins at `at` ends, at most `stop`."""
    match = _SPACE.match(text, at, stop)
    return match.end() if match else at


def between_characters(text: str, at: int, lowest: int) -> int:
    """`at`, or a little before it, so that what people see as one character stays whole where that is possible."""
    for place in range(at, max(lowest, at - _LONGEST_CLUSTER) - 1, -1):
        if place >= len(text) or not (_clings(text[place]) or (place and text[place - 1] == "\u200d")):
            return place
    return at


def _clings(character: str) -> bool:
    """Whether it belongs to the character before it: marks, joiners, tones of skin, the second half of a pair."""
    return (
        (character > "\u02ff" and (unicodedata.category(character) in ("Mn", "Mc", "Me") or character == "\u200d"))
        or "\udc00" <= character <= "\udfff"
        or "\U0001f3fb" <= character <= "\U0001f3ff"
    )


def _goes_on(text: str, end: int) -> bool:
    """Whether the sentence does, behind a full stop."""
    after = after_space(text, end, end + 4)
    if text[after : after + 1].islower():
        return True
    return _ABBREVIATION.search(text, max(0, end - _LONGEST_ABBREVIATION), end) is not None


def _starts(pattern: re.Pattern[str], text: str, first: int, last: int, ahead: int) -> Iterator[int]:
    for match in pattern.finditer(text, first, last + ahead):
        if match.start() <= last:
            yield match.start()
