"""Whether bytes are text, seen as they stream by: which encoding it is, only where it must be known."""

import codecs
import re
from typing import Final

HEAD: Final = 1024
"""Bytes from which the encoding follows."""
CONTROL_BYTES: Final = bytes([*range(9), 11, *range(14, 27), *range(28, 32), 127])
"""No text holds one. Tab, newline, form feed, return and escape are not among them."""
_NO_CONTROLS: Final = bytes(set(range(256)) - set(CONTROL_BYTES))
_CONTROLS: Final = re.compile("[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f\ufffe\uffff]")
_USUAL: Final = re.compile(
    "[\t-\r -\u024f\u0370-\u052f\u0590-\u06ff\u0900-\u097f\u0e00-\u0e7f"
    "\u2000-\u206f\u3000-\u30ff\u4e00-\u9fff\uac00-\ud7a3\uff00-\uffef]"
)
_USUAL_SHARE: Final = 0.95
_OF_ALPHABETS: Final = re.compile("[\u0370-\u0e7f]")
_ALPHABETS_SHARE: Final = 0.5
ONE_BYTE: Final = "one byte"
"""Stands for UTF-8, GB18030 and Latin-1, which need not be told apart: every byte above 127 may be in one of them."""
UTF_16: Final = ("utf-16-le", "utf-16-be")
AS_BROWSERS_DO: Final = {"gb2312": "gb18030", "gbk": "gb18030", "iso-8859-1": "cp1252", "latin-1": "cp1252"}
"""What browsers read where a page names these encodings."""


def encoding_of(head: bytes) -> str | None:
    """ONE_BYTE, or one of UTF_16; None for what can't be text. `head`: the first HEAD bytes, or all there are."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return UTF_16[head.startswith(codecs.BOM_UTF16_BE)]
    if 0 not in head:
        return ONE_BYTE
    decoded = {encoding: _usual_text(head, encoding) for encoding in UTF_16}
    readable = [encoding for encoding, text in decoded.items() if text]
    if head.translate(None, b"\x00").isascii() and head.count(0) * 3 < len(head):
        # ASCII with zeros here and there is a binary format, though any two letters make a Chinese one.
        readable = [encoding for encoding in readable if _is_of_alphabets(decoded[encoding])]
    # English in the wrong order of bytes looks like Chinese: the order that gives more of ASCII is the right one.
    return max(readable, key=lambda one: sum(char < "\x80" for char in decoded[one]), default=None)


def taken_as(content: bytes) -> str | None:
    """As `encoding_of`, of content that is there as a whole or from its beginning: None if any of it is no text."""
    encoding = encoding_of(content[:HEAD])
    return encoding if encoding is not None and TextCheck(encoding).passes(content) else None


def opening_of(head: bytes, encoding: str) -> str:
    """How the text begins, without the mark of its encoding and blank space. Only its ASCII is to be relied on."""
    text = head.decode("utf-8" if encoding == ONE_BYTE else encoding, "replace")
    return text.lstrip("\ufeff \t\r\n\f")


class TextCheck:
    """Fed with the content from its beginning, in pieces of any size."""

    def __init__(self, encoding: str) -> None:
        self._decoder = None if encoding == ONE_BYTE else codecs.getincrementaldecoder(encoding)()

    def passes(self, chunk: bytes) -> bool:
        """Whether it is still text."""
        if self._decoder is None:
            return not chunk.translate(None, _NO_CONTROLS)
        try:
            return not _CONTROLS.search(self._decoder.decode(chunk))
        except UnicodeDecodeError:
            return False


def _is_of_alphabets(text: str) -> bool:
    """Of such as Russian, Arabic, Hindi and Thai: all bytes of their letters in UTF-16 are below 128."""
    return len(_OF_ALPHABETS.findall(text)) >= _ALPHABETS_SHARE * len(text)


def _usual_text(head: bytes, encoding: str) -> str:
    """The head's text; empty when it is none. Without a mark nearly all must be what people write."""
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(head)
    except UnicodeDecodeError:
        return ""
    if _CONTROLS.search(text) or len(_USUAL.findall(text)) < _USUAL_SHARE * len(text):
        return ""
    return text
