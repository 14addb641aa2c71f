"""How much a document may take."""

from dataclasses import dataclass
from typing import Final

MAX_HEADINGS: Final = 20_000
MAX_TABLES: Final = 20_000
MAX_PIXELS: Final = 64_000_000
LONGEST_EDGE: Final = 1568
MAX_PICTURE_BYTES: Final = 3_750_000
LONGEST_LABEL: Final = 200
LONGEST_TITLE: Final = 300
_OF_MODELS: Final = 1 << 30


@dataclass(frozen=True, slots=True)
class ParserLimits:
    """What is beyond `max_pages` or `max_chars` is left out, and said; what needs more time or memory is refused.

    `workers` documents are read at a time, each in a process of at most `memory_bytes` that ends after
    `documents_per_child`. With `ocr` pages of a PDF that hold nothing but pictures are read by a model.
    """

    max_pages: int = 1000
    max_chars: int = 5_000_000
    timeout_seconds: float = 60.0
    memory_bytes: int = 1 << 30
    workers: int = 2
    documents_per_child: int = 50
    ocr: bool = False

    @property
    def process_bytes(self) -> int:
        return self.memory_bytes + (_OF_MODELS if self.ocr else 0)

    @property
    def worn_bytes(self) -> int:
        """A child that ever had more is not used again."""
        return self.process_bytes // 2 if self.ocr else self.memory_bytes // 4
