"""Which encoding text is in. Short rules, in the order of how sure they are.

Whether it is text at all was decided at its upload, by `domain.files.plain_text`. What was taken there is read here.
"""

import codecs
import unicodedata
from typing import Final

from application.ports.document_parser import DocumentRefused
from domain.files.plain_text import ONE_BYTE, UTF_16, taken_as

_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_SAMPLE: Final = 200_000
_MOSTLY: Final = 0.7
_NOISY: Final = 0.02
_SOUND: Final = 4
_TEXT_CONTROLS: Final = frozenset("\t\n\r\f\x0b\x1b\x85")
_CONTROL_BYTES: Final = frozenset(range(0x20)) - frozenset(b"\t\n\r\f\x0b\x1b")
_FREQUENT: Final = frozenset(
    "\t\n\r" + "".join(map(chr, (*range(0x20, 0x7F), *range(0xA0, 0x100)))) + "，。、：；！？（）《》“”"
    "的一是不了人我在有他这为之大来以个中上们到说国和地也子时道出而要于就下得可你年生自会那后能对着事其里所去行过家十用发"
)


def decoded(data: bytes, *, is_cut: bool = False) -> str:
    """The text, without a byte order mark; `is_cut`: its last character may be half there.

    Raises DocumentRefused `file_broken` for what is no text.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            text = data[len(mark) :].decode(encoding, "replace")
            break
    else:
        text = data.decode(encoding_of(data, is_cut=is_cut), "replace")
    return _as_taken(data, is_cut=is_cut) if _is_noise(text[:_SAMPLE]) else text


def _as_taken(data: bytes, *, is_cut: bool) -> str:
    """What seems to be noise, though it may have been taken as text: of an old encoding, or of odd characters."""
    match taken_as(data):
        case None:
            raise no_text()
        case str(encoding) if encoding != ONE_BYTE:
            return data.decode(encoding, "replace").removeprefix("\ufeff")
        case _:
            unmarked = data.removeprefix(codecs.BOM_UTF8)
            return unmarked.decode(encoding_of(unmarked, is_cut=is_cut), "replace")


def encoding_of(data: bytes, *, is_cut: bool = False) -> str:
    """Of text without a byte order mark."""
    sample = data[:_SAMPLE]
    if b"\0" in sample:
        return _of_two_bytes(sample)
    if decodes(data, "utf-8", is_cut=is_cut):
        return "utf-8"
    if decodes(data, "gb18030", is_cut=is_cut) and looks_like_gb18030(sample):
        return "gb18030"
    if is_torn_utf_8(sample):
        return "utf-8"
    # Chinese with no space, digit or line end in it has no zero bytes, but bytes that text of one byte never has.
    if not _CONTROL_BYTES.isdisjoint(sample):
        return _of_two_bytes(sample)
    return "cp1252" if decodes(data, "cp1252") else "latin-1"


def decodes(data: bytes, encoding: str, *, is_cut: bool = False) -> bool:
    """Without a fault, though the end of what is cut may be half a character."""
    try:
        codecs.getincrementaldecoder(encoding)("strict").decode(data, final=not is_cut)
    except UnicodeDecodeError:
        return False
    return True


def is_torn_utf_8(sample: bytes) -> bool:
    """With some faults, where a bad copy or a careless cut was. By chance no other encoding has so few."""
    text = sample.decode("utf-8", "replace")
    faults = text.count("\ufffd")
    return sum(char > "\x7f" for char in text) - faults > _SOUND * faults


def looks_like_gb18030(sample: bytes) -> bool:
    """Latin-1 may decode by chance. Most of true Chinese is of the 3,755 characters that are first in GB2312."""
    common = others = place = 0
    while place < len(sample) - 1:
        lead, trail = sample[place], sample[place + 1]
        if lead < 0x80:
            place += 1
            continue
        if (0xB0 <= lead <= 0xD7 or 0xA1 <= lead <= 0xA3) and trail >= 0xA1:
            common += 1
        else:
            others += 1
        place += 2
    return common > 0 and common / (common + others) >= _MOSTLY


def _of_two_bytes(sample: bytes) -> str:
    """The order of bytes by which it is more of a text. Raises DocumentRefused when it is none by either."""
    # Half a character at the end is no reason to refuse all that is before it.
    fitting = [encoding for encoding in UTF_16 if decodes(sample, encoding, is_cut=True)]
    if not fitting:
        raise no_text()
    return max(fitting, key=lambda encoding: _naturalness(sample.decode(encoding, "ignore")))


def _naturalness(text: str) -> int:
    frequent = sum(char in _FREQUENT for char in text)
    return frequent - 4 * sum(_is_odd(char) for char in text)


def _is_odd(char: str) -> bool:
    return char not in _TEXT_CONTROLS and unicodedata.category(char) in {"Cn", "Co", "Cc", "Cs"}


def _is_noise(text: str) -> bool:
    noise = sum(_is_odd(char) or char == "\ufffd" for char in text)
    return noise > _NOISY * len(text) + 1


def no_text() -> DocumentRefused:
    return DocumentRefused("file_broken", "is no text: it has bytes that no text has")
