"""A document in passages: short enough to be quoted, cut where a person would pause."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from domain.documents import ParsedDocument

LONGEST: Final = 800
"""Characters of a passage."""
_SHORTEST_CUT: Final = 200
_BREAKS: Final = ("\n\n", "\n")
_PAUSES: Final = (
    re.compile(r"(?<=[.!?])\s+|(?<=[\u3002\uff01\uff1f\uff1b])"),
    re.compile(r"\s"),
)


@dataclass(frozen=True, slots=True)
class Passage:
    """Characters of the document's text from `start` to `end`. `label` says on which page, None without pages."""

    start: int
    end: int
    label: str | None = None


def passages(document: ParsedDocument) -> list[Passage]:
    """In order, not overlapping, each on one page. Nothing but white space is left out."""
    found: list[Passage] = []
    for page_start, page_end, label in _stretches(document):
        start = page_start
        while start < page_end:
            end = _pause(document.text, start, page_end)
            if not document.text[start:end].isspace():
                found.append(Passage(start, end, label))
            start = end
    return found


def _stretches(document: ParsedDocument) -> Iterator[tuple[int, int, str | None]]:
    """Pages, and what is between them."""
    at = 0
    for page in document.pages:
        if at < page.start:
            yield at, page.start, None
        yield page.start, page.end, page.label
        at = page.end
    if at < len(document.text):
        yield at, len(document.text), None


def _pause(text: str, start: int, stop: int) -> int:
    """Where the passage that begins at `start` ends: as late as it may, at the strongest pause that there is."""
    if stop - start <= LONGEST:
        return stop
    for line_break in _BREAKS:
        at = text.rfind(line_break, start + _SHORTEST_CUT, start + LONGEST)
        if at >= 0:
            return at + len(line_break)
    for pause in _PAUSES:
        ends = [match.end() for match in pause.finditer(text, start + _SHORTEST_CUT, start + LONGEST)]
        if ends:
            return ends[-1]
    return start + LONGEST
