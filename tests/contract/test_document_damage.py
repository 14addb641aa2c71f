"""Good documents that were damaged at random: each is read or refused, and no reader breaks the laws or the parser."""

import os
from collections.abc import AsyncIterator
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.documents.child_parsers import ChildParsers
from adapters.documents.limits import ParserLimits
from application.ports.document_parser import DocumentRefused
from documents_corpus.corpus_case import odd_places
from documents_corpus.corpus_hostile import DOCUMENT, part_of, repacked
from documents_corpus.corpus_office import plain_word, presentation, workbook
from documents_corpus.corpus_pdf import chapter, drawn, form
from documents_corpus.corpus_pictures import drawn as picture
from documents_corpus.corpus_pictures import saved
from documents_corpus.corpus_text import MARKDOWN, PAGE
from documents_corpus.document_feed import chunks
from domain.files.files import FileKind

CODES = {"file_broken", "file_empty", "file_no_text", "file_encrypted", "file_dangerous", "file_has_macros"}


@cache
def good(kind: FileKind) -> bytes:
    match kind:
        case FileKind.PDF:
            return drawn(chapter("One", 0, "One", "text of it"), form)
        case FileKind.DOCX:
            return plain_word()
        case FileKind.PPTX:
            return presentation()
        case FileKind.XLSX:
            return workbook(lambda book: book.active.append(["a", 1, 2.5]))
        case FileKind.HTML:
            return PAGE.encode()
        case FileKind.MARKDOWN:
            return MARKDOWN.encode()
        case FileKind.JSON:
            return b'{"a":[1,"\\u4f60\\ud83d\\ude00",null],"b":{"c":1.5e3}}'
        case FileKind.CSV:
            return 'a;"b ""c""";d\n1;2\n"x\ny";;é\n'.encode()
        case FileKind.TEXT:
            return "Déjà vu, 你好。\n".encode()
        case _:
            return saved(picture(), kind)


@pytest.fixture(scope="module")
async def parser() -> AsyncIterator[ChildParsers]:
    opened = ChildParsers(ParserLimits(timeout_seconds=20, max_chars=2000, max_pages=20, documents_per_child=500))
    yield opened
    await opened.aclose()


damages = st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=8), st.booleans()), min_size=1, max_size=6)


def damaged(content: bytes, damage: list[tuple[float, bytes, bool]]) -> bytes:
    out = bytearray(content)
    for place, piece, inserts in damage:
        start = int(place * len(out))
        out[start : start if inserts else start + len(piece)] = piece
    return bytes(out)


async def read(parser: ChildParsers, kind: FileKind, content: bytes) -> None:
    try:
        if kind.is_image:
            await parser.picture(kind, chunks(content))
        else:
            assert odd_places(await parser.parse(kind, chunks(content))) == []
    except DocumentRefused as refused:
        # A crash would be `file_too_complex`: none is known, and one that is found is a defect of a reader.
        if refused.code not in CODES:
            raise


@pytest.mark.parametrize("kind", FileKind)
@settings(max_examples=60)
@given(damage=damages)
async def test_damage_is_survived(
    kind: FileKind, damage: list[tuple[float, bytes, bool]], parser: ChildParsers
) -> None:
    await read(parser, kind, damaged(good(kind), damage))


@pytest.mark.parametrize("kind", FileKind)
@settings(max_examples=30)
@given(share=st.floats(0, 1))
async def test_half_a_document_is_survived(kind: FileKind, share: float, parser: ChildParsers) -> None:
    await read(parser, kind, good(kind)[: int(share * len(good(kind)))])


@settings(max_examples=60)
@given(damage=damages)
async def test_damaged_xml_in_a_sound_package_is_survived(
    damage: list[tuple[float, bytes, bool]], parser: ChildParsers
) -> None:
    sound = good(FileKind.DOCX)
    await read(parser, FileKind.DOCX, repacked(sound, {DOCUMENT: damaged(part_of(sound, DOCUMENT), damage)}))


@pytest.mark.parametrize("kind", [kind for kind in FileKind if not kind.is_image])
@settings(max_examples=30)
@given(content=st.binary(max_size=300))
async def test_any_bytes_are_survived(kind: FileKind, content: bytes, parser: ChildParsers) -> None:
    await read(parser, kind, content)


async def test_the_descriptors_of_a_thousand_documents_are_closed(parser: ChildParsers) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(1000):
        await read(parser, FileKind.TEXT, b"text")
    assert len(os.listdir("/proc/self/fd")) <= before + 4
