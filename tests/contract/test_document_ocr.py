"""Pages that hold nothing but a picture of text are read by a model, where that is switched on."""

from collections.abc import Callable

import pypdfium2
import pytest
from PIL import Image
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from adapters.documents.child_parsers import ChildParsers
from adapters.documents.limits import ParserLimits
from application.ports.document_parser import DocumentRefused
from documents_corpus.corpus_pdf import drawn, lines, picture
from documents_corpus.document_feed import chunks
from domain.files.files import FileKind

LIMITS = ParserLimits(ocr=True, timeout_seconds=120)
TEXT = "The quick brown fox jumps over 13 lazy dogs."


def scanned(*texts: str) -> Callable[[Canvas], None]:
    image: Image.Image = pypdfium2.PdfDocument(drawn(lines(*texts)))[0].render(scale=2).to_pil()

    def draw(canvas: Canvas) -> None:
        canvas.drawImage(ImageReader(image), 0, 0, *canvas._pagesize)

    return draw


async def test_a_scan_is_read() -> None:
    parser = ChildParsers(LIMITS)
    assert "ocr=1" in parser.version
    assert "rapidocr=" in parser.version
    document = await parser.parse(FileKind.PDF, chunks(drawn(scanned(TEXT, "Second line."), lines("Typed."))))
    assert [document.text[page.start : page.end] for page in document.pages] == [f"{TEXT}\nSecond line.", "Typed."]
    with pytest.raises(DocumentRefused) as refused:
        await parser.parse(FileKind.PDF, chunks(drawn(picture)))
    assert refused.value.code == "file_no_text"
    await parser.aclose()


async def test_where_time_is_short_the_first_pages_are_read() -> None:
    parser = ChildParsers(ParserLimits(ocr=True, timeout_seconds=12))
    page = scanned(*[TEXT] * 20)
    document = await parser.parse(FileKind.PDF, chunks(drawn(*[page] * 100)))
    assert document.cut is not None
    assert "of 100 pages were read: it takes long to recognise text" in document.cut
    assert TEXT in document.text
    await parser.aclose()


async def test_a_scan_without_recognition_says_how_to_get_it() -> None:
    parser = ChildParsers()
    with pytest.raises(DocumentRefused, match="switch on text recognition") as refused:
        await parser.parse(FileKind.PDF, chunks(drawn(scanned(TEXT))))
    assert refused.value.code == "file_no_text"
    await parser.aclose()
