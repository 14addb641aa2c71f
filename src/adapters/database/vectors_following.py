"""What has changed in the vectors of a base since they were loaded, and only that.

The counters of a base are read first and its vectors afterwards, each portion at a moment of its own: so what is loaded
holds everything that was counted. What comes or goes later is counted again, and found by the next look.
"""

import asyncio
from dataclasses import dataclass
from typing import Final

import numpy as np

from adapters.database.vectors_matrix import NONE, Matrix, differences, empty, numbers, row_bytes
from adapters.database.vectors_stored import IDS_PORTION, PORTION, Key, Stamp, StoredVectors

_AT_ONCE: Final = 8
"""Portions that are put into the matrix together: it costs a copy of its last block."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """Whatever was stored when the counters stood so, and perhaps some that came later."""

    stamp: Stamp
    matrix: Matrix


class NoRoom(Exception):
    """The vectors of the base take more bytes than there are for all bases together."""


async def followed(stored: StoredVectors, key: Key, known: Loaded | None, most_bytes: int) -> Loaded | None:
    """All vectors of a base, of which some may be known already; None when the base is gone. Raises NoRoom.

    What can't be kept is not read but for its beginning: a base may hold more than the memory of the machine.
    """
    stamp = (await stored.stamps([key.knowledge_id])).get(key.knowledge_id)
    if stamp is None:
        return None
    if known is None:
        return Loaded(stamp, await _with_later(stored, key, empty(key.dimensions), most_bytes))
    matrix = known.matrix
    if stamp.shrunk == known.stamp.shrunk:
        matrix = await _with_later(stored, key, matrix, most_bytes)
        # Of several writers one may commit smaller ids after another's larger ones: those were passed over here.
        if await stored.count(key) == matrix.seen:
            return Loaded(stamp, matrix)
    matrix = await _compared(stored, key, matrix)
    return Loaded(stamp, await _with_later(stored, key, matrix, most_bytes))


async def _with_later(stored: StoredVectors, key: Key, matrix: Matrix, most_bytes: int) -> Matrix:
    """With those behind the last that is known. Raises NoRoom: more may come while it reads."""
    after, portions, more, looked = matrix.last, [], True, False
    while more:
        portion = await stored.vectors(key, after)
        more = len(portion) == PORTION
        if more and not looked:
            looked = True
            if await stored.has_more(key, most_bytes // row_bytes(key.dimensions)):
                raise NoRoom
        if portion:
            portions.append(portion)
            after = portion[-1][0]
        if portions and (len(portions) == _AT_ONCE or not more):
            matrix = await asyncio.to_thread(matrix.with_more, portions)
            portions = []
        if matrix.size > most_bytes:
            raise NoRoom
    return matrix


async def _compared(stored: StoredVectors, key: Key, matrix: Matrix) -> Matrix:
    """Without those that are gone, and with those that came late."""
    known, after, gone, late = await asyncio.to_thread(matrix.known), 0, [NONE], [NONE]
    while len(known):
        there = numbers(await stored.ids(key, after))
        after = int(there.max()) if len(there) == IDS_PORTION else int(known[-1])
        # What lies behind all that is known is read later.
        within, known = np.split(known, [np.searchsorted(known, after, "right")])
        missing, new = await asyncio.to_thread(differences, within, there[there <= after])
        gone.append(missing)
        late.append(new)
    matrix = await asyncio.to_thread(matrix.without, np.concatenate(gone))
    if len(more := np.concatenate(late)):
        matrix = await asyncio.to_thread(matrix.with_more, [await stored.these(key, more.tolist())])
    return await asyncio.to_thread(matrix.compacted)
