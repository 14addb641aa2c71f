"""What the office formats have in common: a zip of XML parts. It is looked at before any library opens it."""

import struct
import zipfile
from typing import BinaryIO, Final
from xml.parsers import expat

from application.ports.document_parser import DocumentRefused

MAX_ENTRIES: Final = 10_000
MAX_UNPACKED: Final = 512 << 20
MAX_RATIO: Final = 200
_SMALL: Final = 8 << 20
"""Less than this, unpacked, is no bomb whatever its ratio."""
_OLE: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ENCRYPTED_PACKAGE: Final = "EncryptedPackage".encode("utf-16-le")
_END: Final = b"PK\x05\x06"
_END_SIZE: Final = 22
_LONGEST_COMMENT: Final = 65_535
_LOCAL_HEADER: Final = 30
_PIECE: Final = 1 << 16
_METHODS: Final = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
_LOCKED: Final = 1
_TYPES: Final = "[Content_Types].xml"


def check_package(content: BinaryIO) -> None:
    """Raises DocumentRefused for what would harm its reader, or whoever opens it."""
    _refuse_ole(content)
    _refuse_many(content)
    try:
        with zipfile.ZipFile(content) as archive:
            entries = archive.infolist()
            _refuse_bombs(entries)
            _refuse_oddities(entries)
            _refuse_macros(archive, entries)
            for entry in entries:
                _refuse_declarations(archive, entry)
    except (zipfile.BadZipFile, NotImplementedError, EOFError, struct.error) as error:
        raise _broken() from error
    content.seek(0)


def _refuse_ole(content: BinaryIO) -> None:
    """The container of Office before 2007, in which it also wraps what it encrypts."""
    if content.read(len(_OLE)) != _OLE:
        content.seek(0)
        return
    if _ENCRYPTED_PACKAGE in content.read():
        raise DocumentRefused("file_encrypted", "is protected by a password: upload it without one")
    raise DocumentRefused("file_broken", "is in an old format of Office: save it as .docx, .xlsx or .pptx")


def _refuse_many(content: BinaryIO) -> None:
    """By the archive's own last record: only to list a million entries takes long."""
    size = content.seek(0, 2)
    content.seek(max(0, size - _LONGEST_COMMENT - _END_SIZE))
    tail = content.read()
    content.seek(0)
    place = tail.rfind(_END)
    if place < 0 or len(tail) - place < _END_SIZE:
        raise _broken()
    # 65,535 says that the true number is elsewhere, and larger.
    if int.from_bytes(tail[place + 10 : place + 12], "little") > MAX_ENTRIES:
        raise _dangerous(f"has more than {MAX_ENTRIES:,} parts")


def _refuse_bombs(entries: list[zipfile.ZipInfo]) -> None:
    if len(entries) > MAX_ENTRIES:
        raise _dangerous(f"has more than {MAX_ENTRIES:,} parts")
    if sum(entry.file_size for entry in entries) > MAX_UNPACKED:
        raise _dangerous(f"unpacks to more than {MAX_UNPACKED >> 20} MiB")
    if any(entry.file_size > max(_SMALL, MAX_RATIO * entry.compress_size) for entry in entries):
        raise _dangerous(f"has parts that unpack to more than {MAX_RATIO} times their size")
    end = 0
    for entry in sorted(entries, key=lambda entry: entry.header_offset):
        if entry.header_offset < end:
            raise _dangerous("has parts that lie over each other")
        end = entry.header_offset + _LOCAL_HEADER + entry.compress_size


def _refuse_oddities(entries: list[zipfile.ZipInfo]) -> None:
    if any(entry.flag_bits & _LOCKED for entry in entries):
        raise DocumentRefused("file_encrypted", "is protected by a password: upload it without one")
    names = [entry.filename for entry in entries]
    if len(set(names)) < len(names) or _TYPES not in names or any(e.compress_type not in _METHODS for e in entries):
        raise _broken()


def _refuse_macros(archive: zipfile.ZipFile, entries: list[zipfile.ZipInfo]) -> None:
    # Without zero bytes UTF-16 reads as ASCII.
    types = archive.read(_TYPES).replace(b"\0", b"").lower()
    if b"macroenabled" in types or b"vbaproject" in types or any("vbaproject" in e.filename.lower() for e in entries):
        raise DocumentRefused("file_has_macros", "has macros in it: save it without them")


def _refuse_declarations(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> None:
    """A part of XML that declares a document type wants entities; office programs never write one.

    The declaration stands before the first element, so no more than that is read, in whatever encoding.
    """
    parser = expat.ParserCreate()
    seen: list[bool] = []
    parser.StartDoctypeDeclHandler = lambda *_rest: seen.append(True)
    parser.StartElementHandler = lambda *_rest: seen.append(False)
    with archive.open(entry) as part:
        while not seen and (piece := part.read(_PIECE)):
            try:
                parser.Parse(piece)
            except expat.ExpatError:
                break  # No XML. Whoever needs it as XML will say so.
    if seen and seen[0]:
        raise _dangerous("declares entities, which no office program does")


def _broken() -> DocumentRefused:
    return DocumentRefused("file_broken", "is damaged, or it is no document of Office")


def _dangerous(what: str) -> DocumentRefused:
    return DocumentRefused("file_dangerous", f"{what}: it is not opened")
