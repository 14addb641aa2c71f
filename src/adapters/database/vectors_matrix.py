"""Vectors in memory and the exact search in them. Only who searches in memory imports this: numpy takes its time."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from domain.embeddings import Vector
from domain.ids import ChunkId
from domain.retrieval import Hit

Rows = Sequence[tuple[int, bytes]]
"""Ids of chunks, and their vectors as they are stored."""

Floats = NDArray[np.float32]
_FLOAT: Final = np.dtype("<f4")
_BLOCK: Final = 8192
"""Vectors in one block, at least but for the last: so what is added copies little."""

_NEARLY: Final = np.float32(1e-4)
"""More than what the order of its additions makes of a dot product of 32-bit floats."""

_AT_ONCE: Final = 4096

_MULTIPLIED_AT_ONCE: Final = 400_000
"""Of more numbers numpy makes a work of several threads, which wait for each other where the cores are busy."""

_MOST: Final = np.float32(1e12)
"""Of a vector's length, squared. Only broken ones are anywhere near."""


@dataclass(frozen=True, slots=True)
class Matrix:
    """Never changed, so that a search goes on in what it began with. Ids ascend; `seen` counts unfit rows too."""

    dimensions: int
    ids: NDArray[np.int64]
    blocks: tuple[Floats, ...]
    seen: int

    @property
    def size(self) -> int:
        """In bytes."""
        return self.ids.nbytes + sum(block.nbytes for block in self.blocks)

    @property
    def multiplications(self) -> int:
        """Of one search."""
        return len(self.ids) * self.dimensions

    @property
    def last(self) -> int:
        return int(self.ids[-1]) if len(self.ids) else 0

    def with_more(self, portions: Iterable[Rows]) -> "Matrix":
        """With rows behind `last`, in the order of their ids."""
        ids, blocks, seen = [self.ids], [*self.blocks], self.seen
        for portion in portions:
            seen += len(portion)
            more, vectors = _fit(portion, self.dimensions)
            ids.append(more)
            if blocks and len(blocks[-1]) < _BLOCK:
                vectors = np.concatenate((blocks.pop(), vectors))
            if len(vectors):
                blocks.append(vectors)
        return Matrix(self.dimensions, np.concatenate(ids), tuple(blocks), seen)


def empty(dimensions: int) -> Matrix:
    return Matrix(dimensions, np.empty(0, np.int64), (), 0)


def nearest(matrix: Matrix, vector: Vector, limit: int) -> list[Hit]:
    """Best first, those of equal score by their ids."""
    query = np.frombuffer(vector, _FLOAT)
    if not len(matrix.ids):
        return []
    scores = np.empty(len(matrix.ids), np.float32)
    begin = 0
    step = max(1, _MULTIPLIED_AT_ONCE // matrix.dimensions)
    for block in matrix.blocks:
        for first in range(0, len(block), step):
            some = block[first : first + step]
            np.dot(some, query, out=scores[begin : begin + len(some)])
            begin += len(some)
    if limit < len(scores):
        least = np.partition(scores, len(scores) - limit)[len(scores) - limit]
        chosen = np.flatnonzero(scores >= least - _NEARLY)
    else:
        chosen = np.arange(len(scores))
    exact = _exact(matrix, chosen, query)
    order = np.lexsort((chosen, -exact))[:limit]
    best = zip(matrix.ids[chosen[order]].tolist(), exact[order].tolist(), strict=True)
    return [Hit(ChunkId(chunk_id), score) for chunk_id, score in best]


def _exact(matrix: Matrix, rows: NDArray[np.intp], query: Floats) -> NDArray[np.float64]:
    """The scores anew, summed alike for every row: equal vectors have equal scores, wherever they lie."""
    precise = query.astype(np.float64)
    scores, begin = [np.empty(0)], 0
    for block in matrix.blocks:
        within = rows[(rows >= begin) & (rows < begin + len(block))] - begin
        firsts = range(0, len(within), _AT_ONCE)
        scores += [(block[within[first : first + _AT_ONCE]] * precise).sum(axis=1) for first in firsts]
        begin += len(block)
    return np.concatenate(scores)


def _fit(portion: Rows, dimensions: int) -> tuple[NDArray[np.int64], Floats]:
    """Without what is of another length, no number, or beyond all measure: such a vector is near to nothing."""
    width = _FLOAT.itemsize * dimensions
    kept = [row for row in portion if len(row[1]) == width]
    vectors = np.frombuffer(b"".join(vector for _, vector in kept), _FLOAT).reshape(-1, dimensions)
    ids = np.fromiter((chunk_id for chunk_id, _ in kept), np.int64, len(kept))
    sound = _sound(vectors)
    return (ids, vectors) if sound.all() else (ids[sound], vectors[sound])


def _sound(vectors: Floats) -> NDArray[np.bool_]:
    with np.errstate(all="ignore"):
        sound: NDArray[np.bool_] = np.einsum("ij,ij->i", vectors, vectors) < _MOST
    return sound


def can_be_near(vector: Vector) -> bool:
    """Whether it is numbers, at least one."""
    whole = bool(vector) and len(vector) % _FLOAT.itemsize == 0
    return whole and bool(_sound(np.frombuffer(vector, _FLOAT).reshape(1, -1))[0])
