"""Chunks that stand in a file again and again, such as the foot of each page: one vector does for all of them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from domain.knowledge.chunking import Chunk
from domain.knowledge.embeddings import Vector

_Key = tuple[tuple[str, ...], str]


@dataclass(slots=True)
class Repeated:
    """Remembers the vectors of these chunks, and of no others: most stand in a file once."""

    _vectors: dict[_Key, Vector | None] = field(default_factory=dict)

    @classmethod
    def among(cls, chunks: Sequence[Chunk]) -> "Repeated":
        counts = Counter(map(_key, chunks))
        return cls(dict.fromkeys(key for key, count in counts.items() if count > 1))

    def batch(self, chunks: Sequence[Chunk], most: int) -> Sequence[Chunk]:
        """The first of them, as many as at most `most` vectors must be made for."""
        lacking: set[_Key] = set()
        for count, chunk in enumerate(chunks):
            key = _key(chunk)
            if key in lacking or self._vectors.get(key) is not None:
                continue
            if len(lacking) == most:
                return chunks[:count]
            lacking.add(key)
        return chunks

    def lacking(self, chunks: Sequence[Chunk]) -> Sequence[Chunk]:
        """Those without a known vector, each text once."""
        return list({key: chunk for chunk in chunks if self._vectors.get(key := _key(chunk)) is None}.values())

    def completed(
        self, chunks: Sequence[Chunk], lacking: Sequence[Chunk], made: Sequence[Vector | None]
    ) -> list[Vector | None]:
        """One for each chunk; `made` are those of `lacking`, in order."""
        new = dict(zip(map(_key, lacking), made, strict=True))
        self._vectors.update((key, vector) for key, vector in new.items() if key in self._vectors)
        return [new.get(key) or self._vectors.get(key) for key in map(_key, chunks)]


def _key(chunk: Chunk) -> _Key:
    return chunk.headings, chunk.text
