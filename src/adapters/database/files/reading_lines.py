"""What was read, as bytes: lines of JSON, and long ones compressed.

Offsets count characters, so none may be lost or added. NUL stays; each unpaired surrogate, which UTF-8 can't hold,
comes back as "?". A line is short, for while one is encoded or decoded no other thread of the process runs.
"""

import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec

from domain.files.documents import Heading, Page, ParsedDocument, Reading, Table, Unreadable

LITTLE: Final = 1 << 15
"""Characters of what is encoded faster than a thread is woken, and not worth compressing."""
_OF_A_MARK: Final = 100
_TEXT_LINE: Final = 1 << 18
_MARKS_LINE: Final = 2000
"""Lines take about a millisecond. With shorter ones a thread would wait for its turn oftener than it works."""
_PIECE: Final = 1 << 16
_UNPACKED: Final = 1 << 20
_COMPRESSED: Final = b"\x78"
"""How zlib's streams begin. JSON never does."""


class _Text(msgspec.Struct, array_like=True, tag="text"):
    text: str


class _Pages(msgspec.Struct, array_like=True, tag="pages"):
    pages: tuple[Page, ...]


class _Headings(msgspec.Struct, array_like=True, tag="headings"):
    headings: tuple[Heading, ...]


class _Tables(msgspec.Struct, array_like=True, tag="tables"):
    tables: tuple[Table, ...]


class _Cut(msgspec.Struct, array_like=True, tag="cut"):
    cut: str


class _Unreadable(msgspec.Struct, array_like=True, tag="unreadable"):
    reason: Unreadable


_line_of: Final = msgspec.json.Decoder(_Text | _Pages | _Headings | _Tables | _Cut | _Unreadable).decode


def is_long(reading: Reading) -> bool:
    if isinstance(reading, Unreadable):
        return False
    marks = len(reading.pages) + len(reading.headings) + len(reading.tables)
    return len(reading.text) + _OF_A_MARK * marks > LITTLE


def is_of_long(stored: bytes) -> bool:
    return stored.startswith(_COMPRESSED)


def to_bytes(reading: Reading) -> bytes:
    lines = map(_encoded, _lines(reading))
    return _compressed(lines) if is_long(reading) else b"".join(lines)


def from_bytes(stored: bytes) -> Reading:
    text: list[str] = []
    pages: list[Page] = []
    headings: list[Heading] = []
    tables: list[Table] = []
    cut: str | None = None
    for line in _split(_decompressed(stored) if is_of_long(stored) else (stored,)):
        match _line_of(line):
            case _Text(text=piece):
                text.append(piece)
            case _Pages(pages=some_pages):
                pages += some_pages
            case _Headings(headings=some_headings):
                headings += some_headings
            case _Tables(tables=some_tables):
                tables += some_tables
            case _Cut(cut=why):
                cut = why
            case _Unreadable(reason=reason):
                return reason
    return ParsedDocument("".join(text), tuple(pages), tuple(headings), tuple(tables), cut)


def _lines(reading: Reading) -> Iterator[msgspec.Struct]:
    if isinstance(reading, Unreadable):
        yield _Unreadable(reading)
        return
    if reading.cut is not None:
        yield _Cut(reading.cut)
    yield from map(_Pages, _batches(reading.pages, _MARKS_LINE))
    yield from map(_Headings, _batches(reading.headings, _MARKS_LINE))
    yield from map(_Tables, _batches(reading.tables, _MARKS_LINE))
    yield from map(_Text, _batches(reading.text, _TEXT_LINE))


def _batches(whole: Sequence[Any], size: int) -> Iterator[Any]:
    return (whole[start : start + size] for start in range(0, len(whole), size))


def _encoded(line: msgspec.Struct) -> bytes:
    try:
        return msgspec.json.encode(line) + b"\n"
    except UnicodeEncodeError:
        spelled = json.dumps(msgspec.to_builtins(line), ensure_ascii=False)
        return spelled.encode("utf-8", "replace") + b"\n"


def _compressed(lines: Iterable[bytes]) -> bytes:
    compressor = zlib.compressobj(1)
    return b"".join([*map(compressor.compress, lines), compressor.flush()])


def _decompressed(stored: bytes) -> Iterator[bytes]:
    """In pieces of a size that is worth it: a few packed bytes may be very many."""
    decompressor = zlib.decompressobj()
    for packed in _batches(stored, _PIECE):
        yield decompressor.decompress(packed, _UNPACKED)
        while decompressor.unconsumed_tail:
            yield decompressor.decompress(decompressor.unconsumed_tail, _UNPACKED)
    yield decompressor.flush()


def _split(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Lines, wherever the pieces end."""
    begun: list[bytes] = []
    for piece in pieces:
        *ended, rest = piece.split(b"\n")
        for line in ended:
            yield b"".join([*begun, line])
            begun.clear()
        begun.append(rest)
