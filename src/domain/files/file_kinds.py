"""What a file is: decided by its content, never by its name, and while it streams by.

A name chooses only among kinds of text, which are one to a sniffer. Memory is bounded, and how the content was cut
into pieces makes no difference.
"""

import json
import re
from collections.abc import Mapping
from typing import Final, Protocol

from domain.errors import DomainError, FieldProblem, InvalidValue
from domain.files.files import FileKind
from domain.files.plain_text import HEAD, TextCheck, encoding_of, opening_of

SMALL_JSON: Final = 64 * 1024
"""Without a name that says so, only what is read as a whole is known to be JSON."""

ALLOWED: Final = "PDF, DOCX, PPTX, XLSX, HTML, MD, TXT, CSV, JSON, PNG, JPG, WEBP and GIF"

_SIGNATURES: Final = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), FileKind.PNG),
    (re.compile(rb"\xff\xd8\xff"), FileKind.JPEG),
    (re.compile(rb"GIF8[79]a"), FileKind.GIF),
    (re.compile(rb"RIFF.{4}WEBP", re.DOTALL), FileKind.WEBP),
)
_PDF_LINE: Final = re.compile(rb"(?:\A|[^\x20-\x7e])%PDF-")
_PDF: Final = b"%PDF-"
_ZIP: Final = b"PK\x03\x04"
_OLE: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_MAIN_PARTS: Final[Mapping[bytes, FileKind]] = {
    b"word/document.xml": FileKind.DOCX,
    b"ppt/presentation.xml": FileKind.PPTX,
    b"xl/workbook.xml": FileKind.XLSX,
}
_TEXT_EXTENSIONS: Final[Mapping[str, FileKind]] = {
    "html": FileKind.HTML,
    "htm": FileKind.HTML,
    "md": FileKind.MARKDOWN,
    "markdown": FileKind.MARKDOWN,
    "txt": FileKind.TEXT,
    "text": FileKind.TEXT,
    "csv": FileKind.CSV,
    "tsv": FileKind.CSV,
    "json": FileKind.JSON,
}
_HTML: Final = re.compile(r"(?>(?:<\?xml[^>]*>|<!--.*?-->)\s*)*+<(?:!doctype\s+html|html)[\s>]", re.DOTALL | re.I)


def _named(gap: int) -> bytes:
    """The rest of a header from the length of its name on: length, other fields, the name itself."""
    return b"|".join(
        b"%s.{%d}(%s)" % (re.escape(len(name).to_bytes(2, "little")), gap, re.escape(name)) for name in _MAIN_PARTS
    )


# Looking ahead finds headers that overlap too: so it makes no difference where a piece of the content ends.
_HEADERS: Final = re.compile(rb"PK(?=\x03\x04.{22}(?:%s)|\x01\x02.{24}(?:%s))" % (_named(2), _named(16)), re.DOTALL)
_LONGEST_HEADER: Final = 46 + max(map(len, _MAIN_PARTS))


class KindRefused(DomainError):
    """A file of a kind that is not taken."""

    def __init__(self, message: str, *, code: str = "file_kind_not_allowed") -> None:
        super().__init__(code, f"file: {message}", fields=(FieldProblem("file", message),))


class KindSniffer:
    def __init__(self, name: str) -> None:
        self._extension = name.rpartition(".")[2].lower()
        self._head = bytearray()  # as many bytes as tell the rest: a PDF's mark may stand anywhere in them
        self._scan: _Scan | None = None

    def feed(self, chunk: bytes) -> None:
        """Raises KindRefused as soon as the content shows that it is of no allowed kind."""
        if self._scan is None:
            missing = HEAD - len(self._head)
            self._head += chunk[:missing]
            if len(self._head) < HEAD:
                return
            self._scan = self._begin()
            chunk = chunk[missing:]
        if chunk:
            self._scan.feed(chunk)

    def kind(self) -> FileKind:
        """Of the whole content, which has ended. Raises KindRefused, or InvalidValue `file_empty`."""
        if not self._head:
            raise InvalidValue("file", "is empty", code="file_empty")
        return (self._scan or self._begin()).kind()

    def _begin(self) -> "_Scan":
        head = bytes(self._head)
        scan = _scan_of(head, self._extension)
        scan.feed(head)
        return scan


class _Scan(Protocol):
    def feed(self, chunk: bytes) -> None: ...

    def kind(self) -> FileKind: ...


class _Settled:
    """The head told everything."""

    def __init__(self, kind: FileKind) -> None:
        self._kind = kind

    def feed(self, chunk: bytes) -> None:
        """Whatever follows."""

    def kind(self) -> FileKind:
        return self._kind


class _OfficeScan:
    """Looks for the main part among the names in a zip's headers, local ones and those of its directory.

    The last one counts: the outer directory comes after all that is embedded in a document.
    """

    def __init__(self) -> None:
        self._tail = b""
        self._kind: FileKind | None = None

    def feed(self, chunk: bytes) -> None:
        seen = self._tail + chunk
        for found in _HEADERS.finditer(seen):
            self._kind = _MAIN_PARTS[found[found.lastindex or 0]]
        self._tail = seen[-_LONGEST_HEADER:]

    def kind(self) -> FileKind:
        if self._kind is None:
            raise _not_allowed("an archive that is no Office document")
        return self._kind


class _TextScan:
    def __init__(self, head: bytes, encoding: str, extension: str) -> None:
        self._check = TextCheck(encoding)
        self._named = _TEXT_EXTENSIONS.get(extension)
        self._mentions_pdf = _PDF in head
        self._is_pdf = False
        opening = opening_of(head, encoding)
        self._is_html = bool(_HTML.match(opening))
        self._kept: bytearray | None = bytearray() if self._named is None and opening[:1] in {"{", "["} else None

    def feed(self, chunk: bytes) -> None:
        if not self._is_pdf and not self._check.passes(chunk):
            if not self._mentions_pdf:
                raise _not_allowed("neither text nor anything else that is known")
            self._is_pdf = True
        if self._kept is not None:
            self._kept += chunk
            if len(self._kept) > SMALL_JSON:
                self._kept = None

    def kind(self) -> FileKind:
        if self._is_pdf:
            return FileKind.PDF
        if self._named is not None:
            return self._named
        if self._is_html:
            return FileKind.HTML
        return FileKind.JSON if self._kept is not None and _is_json(bytes(self._kept)) else FileKind.TEXT


def _scan_of(head: bytes, extension: str) -> _Scan:
    for signature, kind in _SIGNATURES:
        if signature.match(head):
            return _Settled(kind)
    if head.startswith(_OLE):
        raise KindRefused(
            "is an old Office document (doc, xls, ppt), or one with a password: "
            "save it as DOCX, XLSX or PPTX without a password, and upload that",
            code="file_encrypted_or_outdated",
        )
    if head.startswith(_ZIP):
        return _OfficeScan()
    if _PDF_LINE.search(head):
        return _Settled(FileKind.PDF)
    encoding = encoding_of(head)
    if encoding is not None:
        return _TextScan(head, encoding, extension)
    if _PDF in head:
        return _Settled(FileKind.PDF)
    raise _not_allowed("neither text nor anything else that is known")


def _not_allowed(found: str) -> KindRefused:
    return KindRefused(f"its content is {found}; allowed are {ALLOWED}, whatever the name says")


def _is_json(content: bytes) -> bool:
    try:
        json.loads(content)
    except (ValueError, RecursionError):
        return False
    return True
