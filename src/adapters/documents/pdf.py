"""PDF, by pdfium. Its JavaScript is never run: this build has no engine for it."""

import re
from collections.abc import Iterator
from typing import Any, BinaryIO, Final

import pypdfium2 as pdfium  # type: ignore[import-untyped]
from pypdfium2 import raw

from adapters.documents.cleaning import clean_block, clean_line
from adapters.documents.recognition import Deadline, text_in
from adapters.documents.writing import DocumentFull, DocumentWriter
from application.ports.document_parser import DocumentRefused

MAX_OUTLINE: Final = 5000
_HYPHEN: Final = re.compile("[\ufffe\x02]\r?\n?")
"""How pdfium writes a hyphen at the end of a line that is none in the word."""
_LOCKED: Final = frozenset({raw.FPDF_ERR_PASSWORD, raw.FPDF_ERR_SECURITY})
_ONLY_PICTURES: Final = (
    "has no text, only pictures of it: an operator can switch on text recognition (documents.ocr), "
    "or upload it with a text layer"
)


def read_pdf(content: BinaryIO, writer: DocumentWriter) -> None:
    with _opened(content.read()) as document:
        pages = _Pages(document, writer)
        try:
            pages.read()
        except DocumentFull:
            pages.mark_outline()
            raise
        pages.mark_outline()
        if writer.is_blank:
            raise pages.refusal()


def _opened(data: bytes) -> pdfium.PdfDocument:
    try:
        document = pdfium.PdfDocument(data)
    except pdfium.PdfiumError as error:
        if error.err_code in _LOCKED:
            raise DocumentRefused("file_encrypted", "is protected by a password: upload it without one") from error
        raise DocumentRefused("file_broken", "is damaged, or it is no PDF") from error
    if len(document) == 0:
        raise DocumentRefused("file_empty", "has no pages")
    if document.get_formtype() != raw.FORMTYPE_NONE:
        document.init_forms()
    return document


class _Pages:
    """Remembers where the lines of each page begin, so that the outline finds its headings."""

    def __init__(self, document: pdfium.PdfDocument, writer: DocumentWriter) -> None:
        self._document = document
        self._writer = writer
        self._lines: list[dict[str, int]] = []
        self._starts: list[int] = []
        self._outlined = self._outline()
        self._is_drawn = False
        self._has_page = False
        self._deadline: Deadline | None = None

    def read(self) -> None:
        for number in range(len(self._document)):
            self._writer.page(f"page {number + 1}", of=len(self._document))
            text = clean_block(self._text(number))
            start = self._writer.length + 2 if self._writer.length and text else self._writer.length
            self._starts.append(start)
            self._lines.append(dict(_lines(text, start)) if number in self._outlined else {})
            self._writer.block(text)

    def mark_outline(self) -> None:
        found = []
        for number, entries in self._outlined.items():
            if number < len(self._starts):
                start, lines = self._starts[number], self._lines[number]
                found += [(lines.get(_folded(title), start), level, title) for level, title in entries]
        for start, level, title in sorted(found, key=lambda one: one[0]):
            self._writer.mark(level, title, start)

    def refusal(self) -> DocumentRefused:
        if not self._has_page:
            return DocumentRefused("file_broken", "is damaged: none of its pages can be read")
        if self._is_drawn:
            return DocumentRefused("file_no_text", _ONLY_PICTURES)
        return DocumentRefused("file_empty", "has nothing on its pages")

    def _text(self, number: int) -> str:
        """Of a page; nothing of one that is damaged."""
        try:
            page = self._document[number]
        except pdfium.PdfiumError:
            return ""
        self._has_page = True
        try:
            if self._document.formenv is not None:
                page = self._flattened(page, number)
            text_page = page.get_textpage()
            text = _HYPHEN.sub("", text_page.get_text_bounded())
            text_page.close()
            if not text.strip():
                self._is_drawn = self._is_drawn or raw.FPDFPage_CountObjects(page) > 0
                text = self._recognised(page)
            return text
        finally:
            page.close()

    def _flattened(self, page: Any, number: int) -> Any:
        """What was filled into the fields of a form is no text of the page until they are made part of it."""
        if raw.FPDFPage_GetAnnotCount(page) == 0:
            return page
        try:
            page.flatten()
        except pdfium.PdfiumError:
            return page
        page.close()
        return self._document[number]

    def _recognised(self, page: Any) -> str:
        if not self._writer.limits.ocr or raw.FPDFPage_CountObjects(page) == 0:
            return ""
        self._deadline = self._deadline or Deadline(self._writer.limits.timeout_seconds)
        if self._deadline.is_over:
            read, pages = self._writer.page_number - 1, len(self._document)
            self._writer.full(f"only the first {read:,} of {pages:,} pages were read: it takes long to recognise text")
        return text_in(page)

    def _outline(self) -> dict[int, list[tuple[int, str]]]:
        """Levels and titles, by the page that they name."""
        entries: dict[int, list[tuple[int, str]]] = {}
        try:
            for mark, _ in zip(self._document.get_toc(max_depth=6), range(MAX_OUTLINE), strict=False):
                target = mark.get_dest()
                index = target.get_index() if target is not None else None
                title = clean_line(mark.get_title())
                if index is not None and index >= 0 and title:
                    entries.setdefault(index, []).append((min(mark.level + 1, 6), title))
        except (pdfium.PdfiumError, UnicodeError):
            pass
        return entries


def _lines(text: str, start: int) -> Iterator[tuple[str, int]]:
    """Each line with where it begins, backwards: the first of equal ones counts."""
    places = [start, *(start + found.end() for found in re.finditer("\n", text))]
    return zip(map(_folded, reversed(text.split("\n"))), reversed(places), strict=True)


def _folded(line: str) -> str:
    return re.sub(r"\s+", "", line).casefold()
