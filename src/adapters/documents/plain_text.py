"""Plain text: as it is, in whatever encoding."""

from typing import BinaryIO, Final

from adapters.documents.cleaning import clean_block
from adapters.documents.encodings import decoded
from adapters.documents.limits import ParserLimits
from adapters.documents.writing import DocumentWriter

_WIDEST: Final = 4
"""Bytes of a character, in the encodings that take most."""


def beginning_of(content: BinaryIO, limits: ParserLimits) -> str:
    """At least as much of the text as a document may have, and one character more if there is one."""
    data = content.read(_WIDEST * (limits.max_chars + 2))
    is_cut = content.read(1) != b""
    if is_cut:
        content.seek(-1, 1)
    return decoded(data, is_cut=is_cut)


def read_text(content: BinaryIO, writer: DocumentWriter) -> None:
    text = clean_block(beginning_of(content, writer.limits))
    writer.block(text)
    if content.read(1):
        writer.cut_short()
