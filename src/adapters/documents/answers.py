"""Is an answer what a child may say?

Whoever takes a child over can't harm this process by what it answers. But it may answer with a text of its choice, for
its own document and for each that the same child reads afterwards, whoever's that is; and it may put what it read there
into a later answer, so into another user's chat. A wrong text is kept for the content's SHA-256 like a right one: for
everybody who has the same bytes. With one document for each child (`documents_per_child = 1`) there is no afterwards.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from adapters.documents.limits import (
    LONGEST_LABEL,
    LONGEST_TITLE,
    MAX_HEADINGS,
    MAX_PICTURE_BYTES,
    MAX_TABLES,
    ParserLimits,
)
from adapters.documents.messages import Answer, Parsed, Pictured, Refused, Task
from domain.conversation.conversation import Image
from domain.files.documents import Page, ParsedDocument, Table

LASTING: Final = frozenset(
    {"file_encrypted", "file_empty", "file_broken", "file_no_text", "file_has_macros", "file_dangerous"}
)
PASSING: Final = frozenset({"file_too_complex", "file_parse_timeout"})
LONGEST_REASON: Final = 400
_LONG_TEXT: Final = 1 << 18
_MANY_MARKS: Final = 1000
_SIGNATURES: Final = {
    "image/png": b"\x89PNG\r\n\x1a\n",
    "image/jpeg": b"\xff\xd8\xff",
    "image/gif": b"GIF8",
    "image/webp": b"RIFF",
}


def is_long(answer: Answer) -> bool:
    """Whether to check it takes so long that others should not wait for it."""
    if not isinstance(answer, Parsed):
        return False
    document = answer.document
    return len(document.text) > _LONG_TEXT or len(document.headings) + len(document.tables) > _MANY_MARKS


def largest(limits: ParserLimits) -> int:
    """The most bytes of an answer: four for a character, and room for the rest."""
    return 4 * limits.max_chars + 16 * MAX_PICTURE_BYTES


def is_proper(answer: Answer, number: int, task: Task, limits: ParserLimits) -> bool:
    if answer.number != number or answer.peak < 0:
        return False
    match answer:
        case Parsed():
            return task == "parse" and is_proper_document(answer.document, limits)
        case Pictured():
            return task == "picture" and is_proper_image(answer.image)
        case Refused():
            return answer.code in LASTING | PASSING and is_line(answer.reason, LONGEST_REASON)


def is_proper_image(image: Image) -> bool:
    signature = _SIGNATURES.get(image.media_type)
    return signature is not None and image.data.startswith(signature) and len(image.data) <= MAX_PICTURE_BYTES


def is_proper_document(document: ParsedDocument, limits: ParserLimits) -> bool:
    length = len(document.text)
    return (
        length <= limits.max_chars
        and "\0" not in document.text
        and (document.cut is None or is_line(document.cut, LONGEST_REASON))
        and len(document.pages) <= limits.max_pages
        and len(document.headings) <= MAX_HEADINGS
        and len(document.tables) <= MAX_TABLES
        and are_apart(document.pages, length)
        and are_apart(document.tables, length)
        and [page.number for page in document.pages] == list(range(1, len(document.pages) + 1))
        and all(is_line(page.label, LONGEST_LABEL) for page in document.pages)
        and all(1 <= heading.level <= 6 and is_line(heading.title, LONGEST_TITLE) for heading in document.headings)
        and are_in_order([0, *(heading.start for heading in document.headings), length])
    )


def are_apart(spans: Sequence[Page] | Sequence[Table], length: int) -> bool:
    return are_in_order([0, *(edge for span in spans for edge in (span.start, span.end)), length])


def are_in_order(places: Sequence[int]) -> bool:
    return all(earlier <= later for earlier, later in pairwise(places))


def is_line(text: str, longest: int) -> bool:
    return 0 < len(text) <= longest and text.isprintable()
