"""Which encoding text is in. Short rules, in the order of how sure they are."""

import codecs
from typing import Final

from application.ports.document_parser import DocumentRefused

_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_SAMPLE: Final = 200_000
_LIKELY: Final = 0.85
_NOISY: Final = 0.02
_TEXT_CONTROLS: Final = frozenset("\t\n\r\f\x0b\x1b\x85")


def decoded(data: bytes) -> str:
    """The text, without a byte order mark. Its last character may be half there. Raises `file_broken` for no text."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            text = data[len(mark) :].decode(encoding, "replace")
            break
    else:
        text = data.decode(encoding_of(data), "replace")
    _refuse_noise(text[:_SAMPLE])
    return text


def encoding_of(data: bytes) -> str:
    """Of text without a byte order mark."""
    sample = data[:_SAMPLE]
    if b"\0" in sample:
        return _of_two_bytes(sample)
    if decodes(data, "utf-8"):
        return "utf-8"
    if decodes(data, "gb18030") and looks_like_gb18030(sample):
        return "gb18030"
    # Chinese with no space, digit or line end in it has no zero bytes.
    for encoding in ("utf-16-le", "utf-16-be"):
        if decodes(sample, encoding) and _share_of_han(sample.decode(encoding, "ignore")) > _LIKELY:
            return encoding
    return "cp1252" if decodes(data, "cp1252") else "latin-1"


def decodes(data: bytes, encoding: str) -> bool:
    """Without a fault, though the end may be half a character."""
    try:
        codecs.getincrementaldecoder(encoding)("strict").decode(data)
    except UnicodeDecodeError:
        return False
    return True


def looks_like_gb18030(sample: bytes) -> bool:
    """Any Latin-1 text may decode by chance. In Chinese the common characters are pairs of high bytes."""
    common = others = place = 0
    while place < len(sample) - 1:
        lead, trail = sample[place], sample[place + 1]
        if lead < 0x80:
            place += 1
            continue
        if 0xA1 <= lead <= 0xF7 and trail >= 0xA1:
            common += 1
        else:
            others += 1
        place += 2
    return common > 0 and common / (common + others) >= _LIKELY


def _of_two_bytes(sample: bytes) -> str:
    """Zero bytes are the high halves of Latin letters, spaces and line ends."""
    little = sample[1::2].count(0) >= sample[0::2].count(0)
    encoding = "utf-16-le" if little else "utf-16-be"
    if not decodes(sample, encoding):
        raise no_text()
    return encoding


def _share_of_han(text: str) -> float:
    return sum("\u4e00" <= char <= "\u9fff" or "\u3000" <= char <= "\u303f" for char in text) / max(len(text), 1)


def _refuse_noise(text: str) -> None:
    noise = sum((char < " " and char not in _TEXT_CONTROLS) or char in "\x7f\ufffd\ufffe\uffff" for char in text)
    if noise > _NOISY * len(text):
        raise no_text()


def no_text() -> DocumentRefused:
    return DocumentRefused("file_broken", "is no text: it has bytes that no text has")
