"""JSON: one long line is laid out in many, everything else stays as it was written. Broken JSON is text."""

import re
from typing import BinaryIO, Final

import msgspec

from adapters.documents.cleaning import clean_block
from adapters.documents.plain_text import beginning_of
from adapters.documents.writing import DocumentWriter

_ESCAPE: Final = re.compile(r"\\(?:u([dD][89abAB]..)\\u([dD][c-fC-F]..)|u([0-9a-fA-F]{4})|.)")


def read_json(content: BinaryIO, writer: DocumentWriter) -> None:
    text = beginning_of(content, writer.limits)
    is_whole = not content.read(1)
    if is_whole:
        text = laid_out(text)
    writer.block(clean_block(text))
    if not is_whole:
        writer.cut_short()


def laid_out(text: str) -> str:
    """Numbers, names that come twice and their order stay as they were. As it is when it isn't JSON."""
    if "\n" in text.strip():
        return text
    try:
        text = msgspec.json.format(text, indent=2)
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return text
    return _ESCAPE.sub(_unescaped, text)


def _unescaped(escape: re.Match[str]) -> str:
    """Letters of any script as themselves: nobody searches for \\u4f60."""
    if escape[1]:
        try:
            pair = int(escape[1], 16), int(escape[2], 16)
        except ValueError:
            return escape[0]
        return chr(0x10000 + ((pair[0] - 0xD800) << 10) + (pair[1] - 0xDC00))
    if escape[3] is None:
        return escape[0]
    code = int(escape[3], 16)
    return chr(code) if code > 0xA0 and not 0xD800 <= code < 0xE000 else escape[0]
