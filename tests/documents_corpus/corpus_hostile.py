"""Packages of Office that mean harm, made from good ones."""

import io
import struct
import zipfile
import zlib
from collections.abc import Mapping

from documents_corpus.corpus_case import Case
from documents_corpus.corpus_office import plain_word, presentation, workbook
from documents_corpus.corpus_pdf import english
from domain.files.files import FileKind

W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
DOCUMENT = "word/document.xml"
SHEET = "xl/worksheets/sheet1.xml"


def repacked(package: bytes, parts: Mapping[str, bytes], *, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """With these parts added, or in the place of those that are there."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(package)) as old, zipfile.ZipFile(out, "w", method) as new:
        for name in old.namelist():
            new.writestr(name, parts.get(name, old.read(name)))
        for name in parts.keys() - set(old.namelist()):
            new.writestr(name, parts[name])
    return out.getvalue()


def part_of(package: bytes, name: str) -> bytes:
    with zipfile.ZipFile(io.BytesIO(package)) as archive:
        return archive.read(name)


def word_of(body: str, before: str = "", encoding: str = "utf-8") -> bytes:
    document = f'<w:document xmlns:w="{W}"><w:body>{body}</w:body></w:document>'
    text = f'<?xml version="1.0" encoding="{encoding}"?>{before}{document}'
    return repacked(plain_word(), {DOCUMENT: text.encode(encoding)})


def paragraph(text: str) -> str:
    return f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>"


def laughs() -> str:
    entities = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    return f'<!DOCTYPE w:document [<!ENTITY l0 "ha">{entities}]>'


def book_with(sheet: str) -> bytes:
    good = workbook(lambda book: book.active.append(["good"]))
    space = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    return repacked(good, {SHEET: f'<worksheet xmlns="{space}">{sheet}</worksheet>'.encode()})


def with_macros() -> bytes:
    return repacked(plain_word(), {"word/vbaProject.bin": b"\xd0\xcf\x11\xe0"})


def as_docm() -> bytes:
    types = part_of(plain_word(), "[Content_Types].xml")
    old = b"application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
    assert old in types
    new = types.replace(old, b"application/vnd.ms-word.document.macroEnabled.main+xml")
    return repacked(plain_word(), {"[Content_Types].xml": new})


def ole(*names: str) -> bytes:
    """The head of a container of Office 97 and a directory with these names."""
    head = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504)
    return head + b"".join(name.encode("utf-16-le").ljust(128, b"\0") for name in ("Root Entry", *names))


def bomb(size: int) -> bytes:
    return repacked(plain_word(), {"word/media/zeros.bin": bytes(size)})


def nested_bomb() -> bytes:
    inner = bytes(10 << 20)
    for _ in range(4):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            for number in range(10):
                archive.writestr(f"{number}.zip", inner)
        inner = out.getvalue()
    return inner


def many_entries(count: int) -> bytes:
    return repacked(
        plain_word(), {f"word/media/{number}.bin": b"" for number in range(count)}, method=zipfile.ZIP_STORED
    )


def claims_many_entries() -> bytes:
    package = bytearray(plain_word())
    place = package.rfind(b"PK\x05\x06")
    package[place + 8 : place + 12] = b"\xff\xff\xff\xff"
    return bytes(package)


def lying_size() -> bytes:
    """The directory says that the part is a hundred bytes; it unpacks to ten million."""
    package = bytearray(repacked(plain_word(), {DOCUMENT: b" " * 10_000_000}))
    place = package.rfind(DOCUMENT.encode()) - 46
    assert package[place : place + 4] == b"PK\x01\x02"
    package[place + 24 : place + 28] = struct.pack("<I", 100)
    return bytes(package)


def overlapping() -> bytes:
    """Two entries of the directory that share one kernel of data, as the best bombs do."""
    package = bytearray(repacked(plain_word(), {"word/media/a.bin": bytes(1000), "word/media/b.bin": bytes(1000)}))
    first, second = (package.rfind(f"word/media/{name}.bin".encode()) - 46 for name in "ab")
    package[second + 42 : second + 46] = package[first + 42 : first + 46]
    return bytes(package)


def locked_entry() -> bytes:
    package = bytearray(plain_word())
    place = package.rfind(DOCUMENT.encode()) - 46
    package[place + 8] |= 1
    return bytes(package)


def quine() -> bytes:
    """A zip whose one entry says that it is the zip itself."""
    body = b"PK\x03\x04" + bytes(26)
    head = struct.pack(
        "<4s6H3I5H2I", b"PK\x01\x02", 20, 20, 0, 0, 0, 0, zlib.crc32(body), 200, 200, 5, 0, 0, 0, 0, 0, 0
    )
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 1, 1, len(head) + 5, len(body), 0)
    return body + head + b"r.zip" + end


def twice_the_same() -> bytes:
    out = io.BytesIO(plain_word())
    with zipfile.ZipFile(out, "a") as archive:
        archive.writestr("x1" + DOCUMENT[2:], b"<other/>")
    return out.getvalue().replace(b"x1" + DOCUMENT[2:].encode(), DOCUMENT.encode())


def huge_claim() -> bytes:
    rows = '<dimension ref="A1:XFD1048576"/><sheetData><row r="1"><c r="A1"><v>1</v></c></row>'
    return book_with(rows + '<row r="999999999"><c r="B999999999"><v>2</v></c></row></sheetData>')


REFUSED = (
    ("macros", FileKind.DOCX, with_macros, "file_has_macros"),
    ("docm", FileKind.DOCX, as_docm, "file_has_macros"),
    ("password", FileKind.XLSX, lambda: ole("EncryptionInfo", "EncryptedPackage"), "file_encrypted"),
    ("old .doc", FileKind.DOCX, lambda: ole("WordDocument"), "file_broken"),
    ("locked entry", FileKind.DOCX, locked_entry, "file_encrypted"),
    ("zip bomb", FileKind.DOCX, lambda: bomb(100 << 20), "file_dangerous"),
    ("nested zip bomb alone", FileKind.XLSX, nested_bomb, "file_broken"),
    ("many entries", FileKind.DOCX, lambda: many_entries(11_000), "file_dangerous"),
    ("claims many entries", FileKind.DOCX, claims_many_entries, "file_dangerous"),
    ("lying size", FileKind.DOCX, lying_size, "file_broken"),
    ("overlapping entries", FileKind.DOCX, overlapping, "file_dangerous"),
    ("quine", FileKind.PPTX, quine, "file_broken"),
    ("one name twice", FileKind.DOCX, twice_the_same, "file_broken"),
    ("billion laughs", FileKind.DOCX, lambda: word_of(paragraph("&l9;"), laughs()), "file_dangerous"),
    (
        "external entity",
        FileKind.DOCX,
        lambda: word_of(paragraph("&e;"), '<!DOCTYPE d [<!ENTITY e SYSTEM "file:///etc/passwd">]>'),
        "file_dangerous",
    ),
    (
        "entity in UTF-16",
        FileKind.DOCX,
        lambda: word_of(paragraph("&e;"), '<!DOCTYPE d [<!ENTITY e "x">]>', "utf-16"),
        "file_dangerous",
    ),
    (
        "quadratic blow-up",
        FileKind.DOCX,
        lambda: word_of(paragraph("&e;" * 50_000), f'<!DOCTYPE d [<!ENTITY e "{"x" * 50_000}">]>'),
        "file_dangerous",
    ),
    (
        "entity in a sheet",
        FileKind.XLSX,
        lambda: repacked(book_with(""), {SHEET: b'<!DOCTYPE d [<!ENTITY e "x">]><worksheet>&e;</worksheet>'}),
        "file_dangerous",
    ),
    (
        "deep nesting",
        FileKind.DOCX,
        lambda: word_of("<w:sdt><w:sdtContent>" * 50_000 + "</w:sdtContent></w:sdt>" * 50_000),
        "file_dangerous",
    ),
    ("deep nesting in a sheet", FileKind.XLSX, lambda: book_with("<a>" * 300_000 + "</a>" * 300_000), "file_dangerous"),
    ("cut in half", FileKind.DOCX, lambda: plain_word()[:9000], "file_broken"),
    ("cut XML", FileKind.DOCX, lambda: repacked(plain_word(), {DOCUMENT: b"<w:document"}), "file_broken"),
    ("a workbook as Word", FileKind.DOCX, lambda: book_with(""), "file_broken"),
    ("Word as a workbook", FileKind.XLSX, plain_word, "file_broken"),
    ("Word as slides", FileKind.PPTX, plain_word, "file_broken"),
    ("cut slides", FileKind.PPTX, lambda: presentation()[:20_000], "file_broken"),
)

CASES = (
    *(Case(name, kind, make, codes=(code,)) for name, kind, make, code in REFUSED),
    Case(
        "nested zip bomb among its parts",
        FileKind.DOCX,
        lambda: repacked(plain_word(), {"word/embeddings/bomb.zip": nested_bomb()}),
        holds=("A paragraph of its own.",),
    ),
    Case("huge claim", FileKind.XLSX, huge_claim, holds=("| 1 |  |\n| --- | --- |\n|  | 2 |",)),
    Case("PDF and Word in one, as PDF", FileKind.PDF, lambda: english() + plain_word(), holds=("quick brown fox",)),
    Case("PDF and Word in one, as Word", FileKind.DOCX, lambda: english() + plain_word(), holds=("of its own.",)),
)
