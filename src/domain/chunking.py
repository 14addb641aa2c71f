"""A document in chunks: what is embedded, found and cited."""

from dataclasses import dataclass
from typing import Final

from domain.documents import ParsedDocument

VERSION: Final = "1"
"""Another one whenever the same document may be cut differently."""


@dataclass(frozen=True, slots=True)
class ChunkSize:
    """`most` and `overlap` are tokens by `domain.tokens.estimate`; `overlap` is less than half of `most`."""

    most: int = 300
    overlap: int = 40

    @property
    def plan(self) -> str:
        """What chunks are cut by, as far as it lies here."""
        return f"{VERSION}:{self.most}:{self.overlap}"


@dataclass(frozen=True, slots=True)
class Chunk:
    """`text` is the document's text from `start` to `end`, exactly. `page` is the number of the page where it begins.

    `headings` are the titles above it, outermost first: context for the embedding, no part of the text.
    """

    start: int
    end: int
    text: str
    page: int | None = None
    headings: tuple[str, ...] = ()


def chunks(document: ParsedDocument, size: ChunkSize) -> list[Chunk]:
    """In order. What is in none of them is white space."""
    raise NotImplementedError
