"""The kind of a file follows from its content, however it is cut into pieces; a name chooses among texts only."""

import io
import json
import zipfile
from collections.abc import Sequence

import docx
import openpyxl
import pptx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from domain.errors import DomainError
from domain.files.file_kinds import SMALL_JSON, KindRefused, KindSniffer
from domain.files.files import FileKind
from domain.files.plain_text import HEAD

OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)
ELF = b"\x7fELF\x02\x01\x01" + bytes(9) + bytes(range(256)) * 8


def outcome(content: bytes, name: str = "", cuts: Sequence[int] = ()) -> FileKind | str:
    sniffer = KindSniffer(name)
    ends = sorted({min(cut, len(content)) for cut in cuts} | {len(content)})
    try:
        for begin, end in zip([0, *ends], ends, strict=False):
            sniffer.feed(content[begin:end])
        return sniffer.kind()
    except DomainError as refusal:
        return refusal.code


def image(kind: str) -> bytes:
    made = io.BytesIO()
    Image.new("RGB", (3, 2), "red").save(made, kind)
    return made.getvalue()


def office() -> dict[FileKind, bytes]:
    made = {kind: io.BytesIO() for kind in (FileKind.DOCX, FileKind.PPTX, FileKind.XLSX)}
    docx.Document().save(made[FileKind.DOCX])
    pptx.Presentation().save(made[FileKind.PPTX])
    openpyxl.Workbook().save(made[FileKind.XLSX])
    return {kind: file.getvalue() for kind, file in made.items()}


def zipped(*names: str, compression: int = zipfile.ZIP_STORED, content: bytes = b"x") -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", compression) as archive:
        for name in names:
            archive.writestr(name, content)
    return made.getvalue()


OFFICE = office()
SAMPLES = [
    *((content, kind) for kind, content in OFFICE.items()),
    *((image(kind.name), kind) for kind in (FileKind.PNG, FileKind.JPEG, FileKind.WEBP, FileKind.GIF)),
    (b"%PDF-1.7\n" + bytes(range(256)) * 8, FileKind.PDF),
    (b"\x00junk before\n%PDF-1.4\n", FileKind.PDF),
    (b"prefix %PDF-1.4\n" + bytes(2000), FileKind.PDF),
    (b"see the mark %PDF-1.4 of a PDF", FileKind.TEXT),
    (b"plain text\twith\r\nlines\f and \x1b[1mcolours\x1b[0m", FileKind.TEXT),
    (("一二三，人工智能。" * 500).encode(), FileKind.TEXT),
    (("中文内容，编码是国标。" * 300).encode("gb18030"), FileKind.TEXT),
    ("Grüße aus Österreich".encode("latin-1"), FileKind.TEXT),
    ("with a mark 中文".encode("utf-16"), FileKind.TEXT),
    ("Without a mark, and long enough.\n".encode("utf-16-le"), FileKind.TEXT),
    ("第一章\n一个没有标记的文件，1 和 2。\n".encode("utf-16-be") * 200, FileKind.TEXT),
    ("<!doctype html><p>中".encode("utf-16"), FileKind.HTML),
    (b"\xef\xbb\xbf \r\n<!DOCTYPE html><p>x", FileKind.HTML),
    (b"<?xml version='1.0'?><!-- x --> <html lang=en>", FileKind.HTML),
    (b"<p>only a part", FileKind.TEXT),
    (b'{"a": [1, 2]}', FileKind.JSON),
    (b"[1, 2", FileKind.TEXT),
    (b"[" * 5000, FileKind.TEXT),
    (json.dumps(["x" * 100] * 1000).encode(), FileKind.TEXT),
    (b"", "file_empty"),
    (OLE, "file_encrypted_or_outdated"),
    (ELF, "file_kind_not_allowed"),
    (zipped("readme.txt", "word/document.xml.bak"), "file_kind_not_allowed"),
    (b"PK\x05\x06" + bytes(18), "file_kind_not_allowed"),
    (b"text and then\x00" * 300, "file_kind_not_allowed"),
    ("x".encode("utf-32"), "file_kind_not_allowed"),
    (b"\xff\xfe\x00\xd8\x41\x00" * 2, "file_kind_not_allowed"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "expected"), SAMPLES, ids=range(len(SAMPLES)))
def test_the_content_says_what_a_file_is(content: bytes, expected: FileKind | str) -> None:
    assert outcome(content) == expected


@given(st.sampled_from([content for content, _ in SAMPLES]), st.lists(st.integers(0, 40_000), max_size=12))
def test_where_the_pieces_end_makes_no_difference(content: bytes, cuts: list[int]) -> None:
    assert outcome(content, "", cuts) == outcome(content)
    assert outcome(content, "a.csv", cuts) == outcome(content, "a.csv")


@pytest.mark.parametrize("content", [OFFICE[FileKind.DOCX], "Ünï 中文\n".encode("utf-16-le") * 90, ELF[:1500]])
def test_single_bytes_are_as_good_as_the_whole(content: bytes) -> None:
    assert outcome(content, "", range(len(content))) == outcome(content)


@given(st.binary(max_size=3000), st.lists(st.integers(0, 3000), max_size=8))
@example(b"PK\x03\x04" * 700, [1, 2, 3])
@example(bytes(1023) + b"%PDF-", [1023, 1024])
def test_nothing_breaks_the_sniffer(content: bytes, cuts: list[int]) -> None:
    assert outcome(content, "x.md", cuts) == outcome(content, "x.md")


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.md", "md"), ("A.MARKDOWN", "md"), ("a.csv", "csv"), ("a.tsv", "csv"), ("a.htm", "html"), ("a.json", "json"),
     ("a.txt", "txt"), ("a.py", "html"), ("md", "md"), ("a.pdf", "html"), ("a.md.exe", "html"), ("", "html")],
)  # fmt: skip
def test_a_name_chooses_among_texts(name: str, kind: str) -> None:
    assert outcome(b"<!doctype html><p>x", name) == kind


NO_TEXTS = [content for content, kind in SAMPLES if kind not in {"txt", "html", "json"}]


@given(st.sampled_from(NO_TEXTS), st.sampled_from(["x.md", "x.csv", "x.json"]))
def test_no_name_makes_a_text_of_anything_else(content: bytes, name: str) -> None:
    assert outcome(content, name) == outcome(content)


def test_a_program_is_refused_after_its_first_piece() -> None:
    sniffer = KindSniffer("report.pdf")
    with pytest.raises(KindRefused, match="allowed are PDF, DOCX"):
        sniffer.feed(ELF[:HEAD])


def test_binary_within_a_text_is_refused_where_it_comes() -> None:
    sniffer = KindSniffer("notes.txt")
    for _ in range(100):
        sniffer.feed(b"line\n" * 1000)
    with pytest.raises(KindRefused):
        sniffer.feed(b"\x00")


def test_a_document_within_a_presentation_does_not_count() -> None:
    inner = OFFICE[FileKind.XLSX]
    outer = io.BytesIO()
    with zipfile.ZipFile(outer, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("ppt/presentation.xml", b"<p/>")
        archive.writestr("ppt/embeddings/sheet.xlsx", inner)
    assert outcome(outer.getvalue()) == FileKind.PPTX


def test_an_image_that_is_a_page_too_is_an_image() -> None:
    assert outcome(b"GIF89a/*<html><script>alert(1)</script>*/=1;%PDF-1.4", "x.html") == FileKind.GIF


def test_memory_stays_bounded_whatever_streams_by() -> None:
    for first in (b"{", b"PK\x03\x04", b"text "):
        sniffer = KindSniffer("")
        sniffer.feed(first)
        for _ in range(300):
            sniffer.feed(b"a" * 10_000)
        scan = sniffer._scan
        assert scan is not None
        kept = [value for value in vars(scan).values() if isinstance(value, bytes | bytearray)]
        assert sum(map(len, kept)) + len(sniffer._head) <= SMALL_JSON + 10_000


def test_a_document_says_how_to_mend_it() -> None:
    sniffer = KindSniffer("x.docx")
    sniffer.feed(OLE)
    with pytest.raises(KindRefused, match="without a password"):
        sniffer.kind()


def test_comments_before_a_page_take_no_time() -> None:
    assert outcome(b"<!---->" * 140 + b"<p>") == FileKind.TEXT
