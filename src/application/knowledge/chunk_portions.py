"""Chunks in portions of about the same work: SQLite stores each without letting anybody else go on."""

from collections.abc import Iterator, Sequence
from typing import Final

from application.ports.knowledge import NewChunk

TERMS_AT_ONCE: Final = 6_000
"""They are most of the work: a chunk in Chinese has some ten times as many as one in English."""


def portions(new: Sequence[NewChunk], most: int = TERMS_AT_ONCE) -> Iterator[Sequence[NewChunk]]:
    """In their order, each in one, and no portion of more than `most` terms but of a single chunk."""
    start, held = 0, 0
    for at, chunk in enumerate(new):
        if at > start and held + len(chunk.terms) > most:
            yield new[start:at]
            start, held = at, 0
        held += len(chunk.terms)
    if new:
        yield new[start:]
