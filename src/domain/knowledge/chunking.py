"""A document in chunks: what is embedded, found and cited."""

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from domain.files.documents import Heading, ParsedDocument, Table
from domain.knowledge.sections import sections
from domain.knowledge.sentences import STRONGEST_FIRST, after_space, between_characters
from domain.tokens import estimate, quarters, reach

VERSION: Final = "1"
"""Another one whenever the same document may be cut differently."""
MOST_HEADINGS: Final = 6
LONGEST_HEADING: Final = 200
_MOST_MOVED: Final = 3
"""Headings without a word between them that go on to the next chunk: a page of them is no context but the text."""
_NEAR: Final = 160
"""Characters before a chunk's end that are searched first."""


@dataclass(frozen=True, slots=True)
class ChunkSize:
    """`most` and `overlap` are tokens by `domain.tokens.estimate`; `overlap` is less than half of `most`."""

    most: int = 300
    overlap: int = 40

    def __post_init__(self) -> None:
        if not 0 <= 2 * self.overlap < self.most:
            raise ValueError("a chunk's overlap must be less than half of its size")

    @property
    def plan(self) -> str:
        """What chunks are cut by, as far as it lies here."""
        return f"{VERSION}:{self.most}:{self.overlap}"


@dataclass(frozen=True, slots=True)
class Chunk:
    """`text` is the document's text from `start` to `end`, exactly. `page` is the number of the page where it begins.

    `headings` are the titles above it, outermost first: context for the embedding, no part of the text. The head row
    of a table that it continues stands there too.
    """

    start: int
    end: int
    text: str
    page: int | None = None
    headings: tuple[str, ...] = ()


def chunks(document: ParsedDocument, size: ChunkSize) -> list[Chunk]:
    """In order. What is in none of them is white space.

    White space belongs to the chunk before it as far as that has room: neighbours touch or overlap.
    """
    above = _Above(document)
    cutter = _Cutter(document, size)
    return [
        Chunk(start, end, document.text[start:end], above.page(start), above.titles(start))
        for section_start, section_end in sections(document, size.most)
        for start, end in cutter.pieces(section_start, section_end)
    ]


class _Above:
    """What stands above a place; `titles` is asked for later and later places."""

    def __init__(self, document: ParsedDocument) -> None:
        self._document = document
        self._page_starts = [page.start for page in document.pages]
        self._tables = _Tables(document)
        self._open: list[Heading] = []
        self._next = 0

    def page(self, at: int) -> int | None:
        number = bisect_right(self._page_starts, at) - 1
        if number < 0 or at >= self._document.pages[number].end:
            return None
        return self._document.pages[number].number

    def titles(self, at: int) -> tuple[str, ...]:
        headings = self._document.headings
        while self._next < len(headings) and headings[self._next].start <= at:
            heading = headings[self._next]
            while self._open and self._open[-1].level >= heading.level:
                self._open.pop()
            self._open.append(heading)
            self._next += 1
        found = [heading.title[:LONGEST_HEADING] for heading in self._open if heading.start < at]
        table = self._tables.around(at)
        if table is not None:
            head = self._document.text[table.start : table.start + LONGEST_HEADING].lstrip()
            found.append(head.partition("\n")[0].rstrip())
        return tuple(found[-MOST_HEADINGS:])


class _Tables:
    def __init__(self, document: ParsedDocument) -> None:
        self._tables = document.tables
        self._starts = [table.start for table in document.tables]

    def around(self, at: int) -> Table | None:
        """The table that a cut there would divide."""
        table = self.before(at)
        return table if table is not None and at < table.end else None

    def before(self, at: int) -> Table | None:
        """The last that begins before."""
        number = bisect_left(self._starts, at) - 1
        return self._tables[number] if number >= 0 else None

    def begins(self, at: int) -> bool:
        number = bisect_left(self._starts, at)
        return number < len(self._starts) and self._starts[number] == at


class _Cutter:
    """Cuts a section greedily: each piece as long as it may be, to the strongest pause in its last two thirds."""

    def __init__(self, document: ParsedDocument, size: ChunkSize) -> None:
        self._text = document.text
        self._size = size
        self._tables = _Tables(document)
        self._headings = [heading.start for heading in document.headings]

    def pieces(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """`begin` is where a piece begins, with what it shares with the one before; `new` is what that has not."""
        begin = new = after_space(self._text, start, stop)
        while new < stop:
            end = self._end(begin, new, stop)
            yield begin, end
            new = after_space(self._text, end, stop)
            begin = new if new > end else self._shared(begin, end)

    def _end(self, begin: int, new: int, stop: int) -> int:
        most = self._size.most
        limit = reach(self._text, begin, stop, most)
        if limit == stop or after_space(self._text, limit, stop) == stop:
            return limit
        aim, low = limit, max(new + 1, begin + (limit - begin) // 3)
        if stop - limit <= 2 * most and estimate(self._text[limit:stop]) <= most // 3:
            # Two halves say more than a whole and a rest of a few words.
            half = (estimate(self._text[begin:stop]) + 1) // 2
            aim = max(low, reach(self._text, begin, limit, half + self._size.overlap))
        place = self._out_of_table(self._pause(low, aim), new, aim, limit)
        return self._before_heading(after_space(self._text, place, limit), new)

    def _pause(self, low: int, high: int) -> int:
        heading = bisect_right(self._headings, high) - 1
        if heading >= 0 and self._headings[heading] >= low:
            return self._headings[heading]
        late = max(low, high - _NEAR)
        for ends in STRONGEST_FIRST:
            for first, last in ((late, high), (low, late - 1)):
                places = deque(ends(self._text, first, last), maxlen=1)
                if places:
                    return places[0]
        return between_characters(self._text, high, low)

    def _out_of_table(self, place: int, new: int, aim: int, limit: int) -> int:
        """A table that fits is not cut. Another one is begun on its own, unless little stands before it."""
        table = self._tables.around(place)
        if table is None:
            return place
        if self._fits(table.start, table.end):
            return table.start if table.start > new else min(table.end, limit)
        if quarters(self._text[new : max(new, table.start)]) >= self._size.most:
            return table.start
        row_end = self._text.rfind("\n", max(table.start, new) + 1, aim)
        return row_end if row_end > 0 else place

    def _before_heading(self, place: int, new: int) -> int:
        """A heading goes with what it is above."""
        table = self._tables.around(place + 1)
        number = bisect_left(self._headings, place) - 1
        for heading in reversed(self._headings[max(0, number - _MOST_MOVED + 1) : number + 1]):
            if heading <= new:
                break
            if "\n" in self._text[heading:place].strip() or self._tables.around(heading):
                break
            if table is not None and self._fits(table.start, table.end) and not self._fits(heading, table.end):
                break
            place = heading
        return place

    def _shared(self, begin: int, end: int) -> int:
        """Where the piece after this one begins, to repeat the end of this one: with a whole sentence if it can."""
        if not self._size.overlap or self._tables.begins(end):
            return end
        number = bisect_left(self._headings, end) - 1
        table = self._tables.before(end)
        floor = max(begin + 1, self._headings[number] if number >= 0 else 0, min(table.end, end) if table else 0)
        first = max(floor, end - 4 * self._size.overlap)
        places = range(first, end)
        first += bisect_left(places, -self._size.overlap, key=lambda at: -estimate(self._text[at:end]))
        for ends in STRONGEST_FIRST:
            for place in ends(self._text, first - 1, end - 1):
                start = after_space(self._text, place, end)
                if first <= start < end:
                    return start
        start = after_space(self._text, between_characters(self._text, first, floor), end)
        return start if start >= first else end

    def _fits(self, start: int, end: int) -> bool:
        return end - start <= 4 * self._size.most and estimate(self._text[start:end]) <= self._size.most
