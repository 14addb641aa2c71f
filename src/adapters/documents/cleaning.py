"""Text as it may be kept and shown: no control characters, one kind of line ends, no runs of empty lines."""

import re
from typing import Final

_BREAKS: Final = re.compile("\r\n?|[\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_NOISE: Final = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\xad\ufeff\ufffe\uffff\ud800-\udfff]")
"""Also soft hyphens, byte order marks and what is no character at all."""
_EMPTY_LINES: Final = re.compile("\n{3,}")
_SPACES: Final = re.compile(r"\s+")


def clean(text: str) -> str:
    """Several lines."""
    text = _NOISE.sub("", _BREAKS.sub("\n", text))
    # No pattern for the spaces before a line's end: it would take forever over a million of them amid a line.
    return _EMPTY_LINES.sub("\n\n", "\n".join(line.rstrip(" \t") for line in text.split("\n")))


def clean_block(text: str) -> str:
    """Several lines; the first and the last say something, unless all are empty."""
    return clean(text).strip("\n").rstrip()


def shown(text: str, longest: int) -> str:
    """One line of nothing but what can be printed, at most so long."""
    return "".join(char for char in clean_line(text) if char.isprintable())[:longest].strip()


def clean_line(text: str) -> str:
    """One line, its spaces single."""
    return _SPACES.sub(" ", _NOISE.sub("", _SPACES.sub(" ", text))).strip()
