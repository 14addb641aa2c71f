"""Markdown: as it is. Headings and tables are found where they stand, but not in code."""

import re
from collections.abc import Iterator
from typing import BinaryIO, Final

from adapters.documents.cleaning import clean_block
from adapters.documents.plain_text import beginning_of
from adapters.documents.writing import DocumentFull, DocumentWriter

_FENCE: Final = re.compile(r" {0,3}(`{3,}|~{3,})")
_HASHES: Final = re.compile(r" {0,3}(#{1,6})(?=[ \t])")
_UNDERLINE: Final = re.compile(r" {0,3}(=+|-{2,})[ \t]*$")
_MAY_BE_TITLE: Final = re.compile(r" {0,3}[^\s#|*>-]")
_OF_DASHES: Final = frozenset("|-: \t")
Line = tuple[int, str]


def read_markdown(content: BinaryIO, writer: DocumentWriter) -> None:
    text = clean_block(beginning_of(content, writer.limits))
    kept = text[: writer.limits.max_chars]
    try:
        writer.block(text)
        if content.read(1):
            writer.cut_short()
    except DocumentFull:
        mark(kept[: writer.length], writer)
        raise
    mark(kept, writer)


def mark(text: str, writer: DocumentWriter) -> None:
    """The text is all that was written."""
    before: Line | None = None
    table: list[Line] = []
    for start, line in _outside_code(text):
        table = _grown(table, start, line, writer)
        heading = _HASHES.match(line)
        if heading is not None:
            writer.mark(len(heading[1]), _title(line[heading.end() :]), start)
        elif before is not None and not table and _MAY_BE_TITLE.match(before[1]) and (under := _UNDERLINE.match(line)):
            writer.mark(1 if under[1].startswith("=") else 2, before[1], before[0])
        before = (start, line)
    _grown(table, len(text), "", writer)


def _title(rest: str) -> str:
    """Without the hashes that may close it."""
    rest = rest.strip()
    bare = rest.rstrip("#")
    return bare.rstrip() if not bare or bare[-1] in " \t" else rest


def _grown(table: list[Line], start: int, line: str, writer: DocumentWriter) -> list[Line]:
    """The lines of the table that goes on; one that has ended is marked if its second line is made of dashes."""
    if line.startswith("|"):
        return [*table[:1], (start, line)] if len(table) < 2 else [table[0], table[1], (start, line)]
    if len(table) > 1 and "-" in table[1][1] and _OF_DASHES.issuperset(table[1][1]):
        writer.mark_table(table[0][0], table[-1][0] + len(table[-1][1]))
    return []


def _outside_code(text: str) -> Iterator[Line]:
    start = 0
    fence = ""
    for line in text.split("\n"):
        found = _FENCE.match(line)
        if fence:
            if found is not None and found[1].startswith(fence) and not line.strip(" \t" + fence[0]):
                fence = ""
            yield start, ""
        elif found is not None:
            fence = found[1]
            yield start, ""
        else:
            yield start, line
        start += len(line) + 1
