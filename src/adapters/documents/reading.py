"""Which reader is for which kind. Each is imported when it is needed: a child that reads PDFs knows no Word."""

from collections.abc import Callable
from contextlib import suppress
from typing import BinaryIO

from adapters.documents.limits import ParserLimits
from adapters.documents.writing import DocumentFull, DocumentWriter
from application.ports.document_parser import DocumentRefused
from domain.conversation.conversation import Image
from domain.files.documents import ParsedDocument
from domain.files.files import FileKind

Reader = Callable[[BinaryIO, DocumentWriter], None]
"""Writes what it reads. Raises DocumentRefused; anything else that it raises means that the content is broken."""


def read(kind: FileKind, content: BinaryIO, limits: ParserLimits) -> ParsedDocument:
    _refuse_nothing(content)
    writer = DocumentWriter(limits)
    with suppress(DocumentFull):
        reader_of(kind)(content, writer)
    return writer.finished()


def picture(kind: FileKind, content: BinaryIO) -> Image:
    _refuse_nothing(content)
    from adapters.documents.pictures import read_picture

    return read_picture(kind, content)


def reader_of(kind: FileKind) -> Reader:
    match kind:
        case FileKind.PDF:
            from adapters.documents.pdf import read_pdf as reader
        case FileKind.DOCX:
            from adapters.documents.word import read_word as reader
        case FileKind.PPTX:
            from adapters.documents.slides import read_slides as reader
        case FileKind.XLSX:
            from adapters.documents.sheets import read_sheets as reader
        case FileKind.HTML:
            from adapters.documents.web_page import read_web_page as reader
        case FileKind.CSV:
            from adapters.documents.csv_table import read_csv as reader
        case FileKind.JSON:
            from adapters.documents.json_text import read_json as reader
        case FileKind.MARKDOWN:
            from adapters.documents.markdown import read_markdown as reader
        case FileKind.TEXT:
            from adapters.documents.plain_text import read_text as reader
        case _:
            raise DocumentRefused("file_broken", "is no document but an image")
    return reader


def _refuse_nothing(content: BinaryIO) -> None:
    if not content.read(1):
        raise DocumentRefused("file_empty", "is empty")
    content.seek(0)
