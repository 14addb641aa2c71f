"""One document of the corpus, and what must become of it."""

from collections.abc import Callable
from dataclasses import dataclass

from domain.files.documents import ParsedDocument
from domain.files.files import FileKind


@dataclass(frozen=True, slots=True)
class Case:
    """Either it is refused with one of `codes`, or it is read, and its text `holds` and `lacks` these pieces.

    `pages`, `tables` are how many; `headings` are "level title". None says nothing.
    """

    name: str
    kind: FileKind
    make: Callable[[], bytes]
    codes: tuple[str, ...] = ()
    holds: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    pages: int | None = None
    labels: tuple[str, ...] | None = None
    headings: tuple[str, ...] | None = None
    tables: int | None = None
    cut: str | None = None

    def __str__(self) -> str:
        return f"{self.kind.value}: {self.name}"


def faults_of(case: Case, document: ParsedDocument) -> list[str]:
    """What of the expectation doesn't hold; nothing when all does."""
    shown = f"{document.text[:300]!r}"
    faults = [f"lacks {piece!r}: {shown}" for piece in case.holds if piece not in document.text]
    faults += [f"holds {piece!r}: {shown}" for piece in case.lacks if piece in document.text]
    headings = tuple(f"{heading.level} {heading.title}" for heading in document.headings)
    labels = tuple(page.label for page in document.pages)
    for name, expected, found in (
        ("pages", case.pages, len(document.pages)),
        ("labels", case.labels, labels),
        ("headings", case.headings, headings),
        ("tables", case.tables, len(document.tables)),
    ):
        if expected is not None and expected != found:
            faults.append(f"{name}: {found!r}, not {expected!r}; {shown}")
    if document.cut != case.cut:
        faults.append(f"cut: {document.cut!r}, not {case.cut!r}")
    return faults


def odd_places(document: ParsedDocument) -> list[str]:
    """What of the laws of a document's places doesn't hold."""
    text = document.text
    faults = [] if text == text.strip("\n") and "\n\n\n" not in text and "\0" not in text else ["the text isn't clean"]
    text.encode()
    for spans in (document.pages, document.tables):
        edges = [0, *(edge for span in spans for edge in (span.start, span.end)), len(text)]
        if edges != sorted(edges):
            faults.append(f"not apart: {spans[:5]}")
    if [page.number for page in document.pages] != [*range(1, len(document.pages) + 1)]:
        faults.append("the pages aren't numbered from one")
    faults += [f"no table: {table}" for table in document.tables if not text[table.start : table.end].startswith("|")]
    places = [heading.start for heading in document.headings]
    if places != sorted(places):
        faults.append("the headings aren't in order")
    faults += [f"amid a line: {place}" for place in places if place and text[place - 1] != "\n"]
    return faults
