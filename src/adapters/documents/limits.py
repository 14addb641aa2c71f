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
