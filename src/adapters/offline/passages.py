"""Numbered passages of knowledge, as they stand before a question or in a tool's result: quoted and cited."""

import re
from collections.abc import Sequence
from typing import Final

from adapters.offline.extract import best_sentences

_PASSAGE: Final = re.compile(r'<passage number="(\d+)"[^<>]*>\n(.*?)\n</passage>', re.DOTALL)
_CLOSING: Final = "</knowledge>"

Numbered = tuple[str, str]


def numbered_in(text: str) -> list[Numbered]:
    """Numbers and texts."""
    return [(match[1], match[2]) for match in _PASSAGE.finditer(text)]


def was_searched(text: str) -> bool:
    """Whether the knowledge was searched for the question: what it gave stands before it, or that it gave nothing."""
    return text.startswith("<knowledge>") and _CLOSING in text


def parted(text: str) -> tuple[str, str]:
    """The knowledge, and what stands after it. Nothing that was retrieved can close the fence."""
    if not was_searched(text):
        return "", text
    knowledge, _, rest = text.partition(_CLOSING)
    return knowledge, rest.lstrip("\n")


def cited_sentences(question: str, passages: Sequence[Numbered]) -> list[str]:
    """The sentences that answer best, each with the number of the first passage that holds it."""
    found = best_sentences(question, [text for _, text in passages])
    return [f"{one} [{next(number for number, text in passages if one in text)}]" for one in found]
