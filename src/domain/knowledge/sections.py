"""The parts of a document that belong together: what no chunk reaches across."""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from domain.files.documents import Page, ParsedDocument
from domain.tokens import quarters

_DEEPEST: Final = 3
"""Headings below that level are places to cut at, no more."""
_HANGING: Final = frozenset(",-\u2010\u2013\u2014\uff0c\u3001")
_NEAR: Final = 200


@dataclass(slots=True)
class _Part:
    """From one boundary to the next. `level` is that of the heading above it, 0 before any; `page` when it begins one.

    `weight` is in quarters of a token.
    """

    start: int
    end: int
    level: int
    page: bool
    weight: int


def sections(document: ParsedDocument, most: int) -> Iterator[tuple[int, int]]:
    """Start and end of each, in order, together the whole text.

    They end at headings of the first three levels, and at pages unless a sentence goes on there; never inside a table.
    One of at most a quarter of `most` tokens is taken together with its first sub-section, and with its neighbour
    under the same heading when both are at most `most`.
    """
    open_part: _Part | None = None
    last_level = 0
    for part in _parts(document):
        if open_part is None:
            open_part = part
        elif _belong_together(open_part, last_level, part, most):
            open_part.end = part.end
            open_part.weight += part.weight
        else:
            yield open_part.start, open_part.end
            open_part = part
        last_level = part.level
    if open_part is not None:
        yield open_part.start, open_part.end


def _belong_together(so_far: _Part, last_level: int, part: _Part, most: int) -> bool:
    if part.page or so_far.weight > most:
        return False
    return part.level > last_level or (part.level >= so_far.level and so_far.weight + part.weight <= 4 * most)


def _parts(document: ParsedDocument) -> Iterator[_Part]:
    headings = {one.start: one.level for one in document.headings if one.level <= _DEEPEST}
    pages = set(_page_boundaries(document))
    tables, size = document.tables, len(document.text)
    table_starts = [table.start for table in tables]

    def stands(at: int) -> bool:
        number = bisect_right(table_starts, at) - 1
        return 0 < at < size and (number < 0 or not tables[number].start < at < tables[number].end)

    places = sorted(at for at in headings.keys() | pages if stands(at))
    level = 0
    for start, end in pairwise([0, *places, size]):
        level = headings.get(start, level)
        yield _Part(start, end, level, start in pages, quarters(document.text[start:end]))


def _page_boundaries(document: ParsedDocument) -> Iterator[int]:
    if not document.pages:
        return
    yield document.pages[0].start
    for page, following in pairwise(document.pages):
        if not _goes_on(document.text, page, following):
            yield page.end
            yield following.start
    yield document.pages[-1].end


def _goes_on(text: str, page: Page, following: Page) -> bool:
    """Whether a sentence of the page ends on the following one, as far as can be seen."""
    if text[page.end : following.start].strip():
        return False
    last = text[max(page.start, page.end - _NEAR) : page.end].rstrip()[-1:]
    first = text[following.start : min(following.end, following.start + _NEAR)].lstrip()[:1]
    return (last.isalnum() or last in _HANGING) and first.isalpha() and not first.isupper()
