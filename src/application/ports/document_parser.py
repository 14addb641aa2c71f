"""The conversation with what reads documents and pictures: bytes of strangers, which may be anything."""

from collections.abc import AsyncIterator
from typing import Protocol

from domain.conversation.conversation import Image
from domain.files.documents import ParsedDocument
from domain.files.files import FileKind


class DocumentRefused(Exception):
    """The content can't be read. `reason` is the rest of a sentence that begins with the file's name.

    Codes that hold for the same bytes for ever (`lasting`): `file_encrypted`, `file_empty`, `file_broken`,
    `file_no_text` (nothing but pictures), `file_has_macros`, `file_dangerous` (a bomb of zip or XML).
    Codes that depend on limits and load: `file_too_complex` (memory), `file_parse_timeout`.
    """

    def __init__(self, code: str, reason: str, *, lasting: bool = True) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.lasting = lasting


class DocumentParser(Protocol):
    """Reads contents apart from the server: whatever they do, they harm nobody else. Safe for many calls at once.

    Raises DocumentRefused, and Unavailable `parser_unavailable` when there is nothing to read with.
    What `content` raises comes through as it is. Cancelling a call ends its work.
    """

    @property
    def version(self) -> str:
        """Another one whenever the same bytes may be read differently: code, libraries, limits, OCR."""
        ...

    async def parse(self, kind: FileKind, content: AsyncIterator[bytes]) -> ParsedDocument:
        """Read a document of a kind that is no image."""
        ...

    async def picture(self, kind: FileKind, content: AsyncIterator[bytes]) -> Image:
        """An image as models take it: upright, at most 1,568 pixels wide and high, at most 3.75 MB, its metadata gone.

        Of an animation the first frame. Small images keep their format, others may become JPEG.
        """
        ...
