"""Vectors in memory and the exact search in them. Only who searches in memory imports this: numpy takes its time."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from domain.ids import ChunkId
from domain.knowledge.embeddings import Vector
from domain.knowledge.retrieval import Hit

Rows = Sequence[tuple[int, bytes]]
"""Ids of chunks, and their vectors as they are stored."""

Floats = NDArray[np.float32]
Ids = NDArray[np.int64]
_FLOAT: Final = np.dtype("<f4")
NONE: Final[Ids] = np.empty(0, np.int64)
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
    """Never changed, so that a search goes on in what it began with. Ids are in any order.

    Rows that are `dead` were removed and have not been cleared away yet. `unfit` are ids of what can't be searched.
    """

    dimensions: int
    ids: Ids
    blocks: tuple[Floats, ...]
    dead: Ids
    unfit: Ids

    @property
    def size(self) -> int:
        """In bytes."""
        return self.ids.nbytes + self.dead.nbytes + self.unfit.nbytes + sum(block.nbytes for block in self.blocks)

    @property
    def multiplications(self) -> int:
        """Of one search."""
        return len(self.ids) * self.dimensions

    @property
    def seen(self) -> int:
        """How many are stored, as far as is known."""
        return len(self.ids) - len(self.dead) + len(self.unfit)

    @property
    def last(self) -> int:
        return max((int(ids.max()) for ids in (self.ids, self.unfit) if len(ids)), default=0)

    def known(self) -> Ids:
        """Ascending."""
        return np.sort(np.concatenate((np.delete(self.ids, self.dead), self.unfit)))

    def with_more(self, portions: Iterable[Rows]) -> "Matrix":
        """With rows that were not there."""
        ids, blocks, unfit = [self.ids], [*self.blocks], [self.unfit]
        for fit in (_fit(portion, self.dimensions) for portion in portions):
            ids.append(fit.ids)
            unfit.append(fit.unfit)
            if len(fit.vectors):
                blocks.append(fit.vectors)
        return Matrix(
            self.dimensions,
            np.concatenate(ids),
            _merged(blocks, len(self.blocks) - 1),
            self.dead,
            np.concatenate(unfit),
        )

    def without(self, gone: Ids) -> "Matrix":
        """Ids that are not there change nothing. No vector is copied."""
        dead = np.union1d(self.dead, np.flatnonzero(np.isin(self.ids, gone)))
        return replace(self, dead=dead, unfit=self.unfit[~np.isin(self.unfit, gone)])

    def compacted(self) -> "Matrix":
        """Blocks that are half dead are made anew without their dead."""
        alive, blocks, begin = np.ones(len(self.ids), np.bool_), [], 0
        alive[self.dead] = False
        cleared = np.zeros(len(self.ids), np.bool_)
        for block in self.blocks:
            end = begin + len(block)
            living = alive[begin:end]
            if 2 * np.count_nonzero(living) <= len(block):
                cleared[begin:end] = ~living
                block = block[living]
            blocks.append(block)
            begin = end
        if not cleared.any():
            return self
        kept = np.flatnonzero(~cleared)
        return Matrix(self.dimensions, self.ids[kept], _merged(blocks, 0), np.flatnonzero(~alive[kept]), self.unfit)


def row_bytes(dimensions: int) -> int:
    """Of a vector with its id."""
    return _FLOAT.itemsize * dimensions + NONE.itemsize


def empty(dimensions: int) -> Matrix:
    return Matrix(dimensions, NONE, (), NONE, NONE)


def numbers(text: str) -> Ids:
    """Ids with commas between."""
    return np.fromstring(text, np.int64, sep=",")


def differences(known: Ids, there: Ids) -> tuple[Ids, Ids]:
    """Those that are gone, and those that are new."""
    return np.setdiff1d(known, there, assume_unique=True), np.setdiff1d(there, known, assume_unique=True)


def nearest(matrix: Matrix, vector: Vector, limit: int) -> list[Hit]:
    """Best first, those of equal score by their ids."""
    query = np.frombuffer(vector, _FLOAT)
    scores = np.empty(len(matrix.ids), np.float32)
    begin = 0
    step = max(1, _MULTIPLIED_AT_ONCE // matrix.dimensions)
    for block in matrix.blocks:
        for first in range(0, len(block), step):
            some = block[first : first + step]
            np.dot(some, query, out=scores[begin : begin + len(some)])
            begin += len(some)
    scores[matrix.dead] = -np.inf
    if limit < len(scores) - len(matrix.dead):
        least = np.partition(scores, len(scores) - limit)[len(scores) - limit]
        chosen = np.flatnonzero(scores >= least - _NEARLY)
    else:
        chosen = np.flatnonzero(scores > -np.inf)
    exact = _exact(matrix, chosen, query)
    ids = matrix.ids[chosen]
    order = np.lexsort((ids, -exact))[:limit]
    best = zip(ids[order].tolist(), exact[order].tolist(), strict=True)
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


def _merged(blocks: Sequence[Floats], full: int) -> tuple[Floats, ...]:
    """Neighbours in one, until it is large enough; the first `full` are left as they are."""
    merged, waiting = [*blocks[: max(0, full)]], []
    for block in blocks[max(0, full) :]:
        waiting.append(block)
        if sum(map(len, waiting)) >= _BLOCK:
            merged.append(_one(waiting))
            waiting = []
    if any(map(len, waiting)):
        merged.append(_one(waiting))
    return tuple(merged)


def _one(blocks: Sequence[Floats]) -> Floats:
    return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)


class _Fit(NamedTuple):
    ids: Ids
    vectors: Floats
    unfit: Ids


def _fit(portion: Rows, dimensions: int) -> _Fit:
    """What is of another length, no number, or beyond all measure is unfit: such a vector is near to nothing."""
    width = _FLOAT.itemsize * dimensions
    kept = [row for row in portion if len(row[1]) == width]
    others = [chunk_id for chunk_id, vector in portion if len(vector) != width]
    vectors = np.frombuffer(b"".join(vector for _, vector in kept), _FLOAT).reshape(-1, dimensions)
    ids = np.fromiter((chunk_id for chunk_id, _ in kept), np.int64, len(kept))
    sound = _sound(vectors)
    if sound.all() and not others:
        return _Fit(ids, vectors, NONE)
    return _Fit(ids[sound], vectors[sound], np.concatenate((ids[~sound], np.array(others, np.int64))))


def _sound(vectors: Floats) -> NDArray[np.bool_]:
    with np.errstate(all="ignore"):
        sound: NDArray[np.bool_] = np.einsum("ij,ij->i", vectors, vectors) < _MOST
    return sound


def can_be_near(vector: Vector) -> bool:
    """Whether it is numbers, at least one."""
    whole = bool(vector) and len(vector) % _FLOAT.itemsize == 0
    return whole and bool(_sound(np.frombuffer(vector, _FLOAT).reshape(1, -1))[0])
