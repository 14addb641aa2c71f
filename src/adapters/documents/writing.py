"""The text of a document as it grows, with the places of its pages, headings and tables."""

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Final, Never

from adapters.documents.cleaning import clean_block, clean_line, shown
from adapters.documents.limits import LONGEST_LABEL, LONGEST_TITLE, MAX_HEADINGS, MAX_TABLES, ParserLimits
from application.ports.document_parser import DocumentRefused
from domain.files.documents import Heading, Page, ParsedDocument, Table

_GAP: Final = "\n\n"


class DocumentFull(Exception):
    """A limit was reached: what was written so far is the document."""


class DocumentWriter:
    """Blocks stand apart by one empty line. Raises DocumentFull where a limit is; `finished` works all the same."""

    def __init__(self, limits: ParserLimits) -> None:
        self.limits = limits
        self._pieces: list[str] = []
        self._length = 0
        self._pages: list[Page] = []
        self._open: tuple[str, int | None] | None = None
        self._headings: list[Heading] = []
        self._tables: list[Table] = []
        self._cut: str | None = None

    @property
    def length(self) -> int:
        return self._length

    @property
    def is_blank(self) -> bool:
        return self._length == 0

    @property
    def page_number(self) -> int:
        """Of the page that is being written."""
        return len(self._pages) + (self._open is not None)

    def page(self, label: str, *, of: int) -> None:
        """A new page begins; `of` is how many there are in all."""
        self._close_page()
        most = self.limits.max_pages
        if len(self._pages) >= most:
            self.full(f"only the first {most:,} of {of:,} pages were read")
        self._open = (shown(label, LONGEST_LABEL) or str(len(self._pages) + 1), None)

    def block(self, text: str) -> int:
        """Where it begins."""
        return self._block(clean_block(text))

    def heading(self, level: int, title: str) -> None:
        title = clean_line(title)
        if not title:
            return
        level = min(max(level, 1), 6)
        start = self._block(f"{'#' * level} {title}")
        self.mark(level, title, start)

    def mark(self, level: int, title: str, start: int) -> None:
        """A heading whose line is in the text already."""
        title = shown(title, LONGEST_TITLE)
        if title and len(self._headings) < MAX_HEADINGS and start < self._length:
            self._headings.append(Heading(level, title, start))

    def mark_table(self, start: int, end: int) -> None:
        if len(self._tables) < MAX_TABLES:
            self._tables.append(Table(start, end))

    def table(self, rows: Iterable[Sequence[str]]) -> None:
        """The first row is the head. Rows of nothing are left out; a row may be shorter or longer than the head."""
        filled = ([clean_line(cell) for cell in row] for row in rows)
        filled_rows = (row for row in filled if any(row))
        head = next(filled_rows, None)
        if head is None:
            return
        # A ragged table is as wide as its first rows are: the last of a million may not widen them all.
        first = [head, *(row for row, _ in zip(filled_rows, range(99), strict=False))]
        width = max(map(len, first))
        head += [""] * (width - len(head))
        lines = chain(
            [_row(head, width), "|" + " --- |" * width], (_row(r, width) for r in chain(first[1:], filled_rows))
        )
        start = None
        try:
            for line in lines:
                if start is None:
                    start = self._block(line)
                else:
                    self._put("\n" + line, whole=True)
        finally:
            if start is not None and self._length > start:
                self.mark_table(start, self._length)

    def full(self, cut: str) -> Never:
        self._cut = cut
        raise DocumentFull

    def cut_short(self) -> Never:
        self.full(f"only the first {self.limits.max_chars:,} characters were read")

    def finished(self) -> ParsedDocument:
        self._close_page()
        text = "".join(self._pieces)
        if not text.strip():
            raise DocumentRefused("file_empty", "has no text in it")
        pages, headings, tables = tuple(self._pages), tuple(self._headings), tuple(self._tables)
        return ParsedDocument(text, pages, headings, tables, self._cut)

    def _block(self, text: str) -> int:
        if not text:
            return self._length
        if self._length:
            self._put(_GAP, whole=True, more=1)
        start = self._length
        if self._open is not None and self._open[1] is None:
            self._open = (self._open[0], start)
        self._put(text)
        return start

    def _put(self, text: str, *, whole: bool = False, more: int = 0) -> None:
        """`whole`: all or nothing of it, and only if so many `more` characters can follow."""
        room = self.limits.max_chars - self._length
        if len(text) + more <= room:
            self._pieces.append(text)
            self._length += len(text)
            return
        if not whole:
            beginning = text[:room].rstrip()
            self._pieces.append(beginning)
            self._length += len(beginning)
        self.cut_short()

    def _close_page(self) -> None:
        if self._open is not None:
            label, start = self._open
            start = self._length if start is None else start
            self._pages.append(Page(len(self._pages) + 1, label, start, self._length))
            self._open = None


def _row(cells: Sequence[str], width: int) -> str:
    filled = [*cells, *[""] * (width - len(cells))]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in filled) + " |"
