"""A document as it was read: its text, and where in it pages, headings and tables are."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Page:
    """A page, slide or sheet: `label` is what people call it, such as "page 3"; `start` and `end` are characters."""

    number: int
    label: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Heading:
    """`level` is 1 to 6; the heading's line begins at the character `start`."""

    level: int
    title: str
    start: int


@dataclass(frozen=True, slots=True)
class Table:
    """Where a table stands in the text, as Markdown: characters from `start` to `end`."""

    start: int
    end: int


@dataclass(frozen=True, slots=True, weakref_slot=True)
class ParsedDocument:
    """`text` is Markdown. Pages, headings and tables are in its order; pages don't overlap, nor do tables.

    A format without pages has none. `cut` says what was left out because of a limit, None when nothing was.
    """

    text: str
    pages: tuple[Page, ...] = ()
    headings: tuple[Heading, ...] = ()
    tables: tuple[Table, ...] = ()
    cut: str | None = None


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Why a document can't be read: always so for the same bytes. `reason` goes on after the file's name."""

    code: str
    reason: str


LOAD_DEPENDENT: Final = frozenset({"file_parse_timeout", "file_too_complex"})
"""Codes of what another try, at another time, may read."""

Reading = ParsedDocument | Unreadable
