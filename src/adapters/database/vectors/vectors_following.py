"""What has changed in the vectors of a base since they were loaded, and only that.

The counters of a base are read first and its vectors afterwards, each portion at a moment of its own: so what is loaded
holds everything that was counted. What comes or goes later is counted again, and found by the next look.
"""

import asyncio
from typing import Final

import numpy as np

from adapters.database.vectors.vectors_matrix import NONE, Matrix, differences, empty, numbers, row_bytes
from adapters.database.vectors.vectors_room import Loaded, NoRoom, Room
from adapters.database.vectors.vectors_stored import IDS_PORTION, PORTION, Key, StoredVectors

_AT_ONCE: Final = 8
"""Portions that are put into the matrix together: it costs a copy of its last block."""


async def followed(stored: StoredVectors, key: Key, room: Room) -> Loaded | None:
    """All vectors of a base, of which some may be known already; None when the base is gone. Raises NoRoom.

    What can't be kept is not read but for its beginning: a base may hold more than the memory of the machine. Whoever
    gives up the room is who asked.
    """
    known = room.kept(key)
    stamp = (await stored.stamps([key.knowledge_id])).get(key.knowledge_id)
    if stamp is None:
        return None
    if known is None:
        return Loaded(stamp, await _with_later(stored, key, empty(key.dimensions), room))
    matrix = known.matrix
    if stamp.shrunk == known.stamp.shrunk:
        matrix = await _with_later(stored, key, matrix, room)
        # Of several writers one may commit smaller ids after another's larger ones: those were passed over here.
        if await stored.count(key) == matrix.seen:
            return Loaded(stamp, matrix)
    matrix = await _compared(stored, key, matrix)
    return Loaded(stamp, await _with_later(stored, key, matrix, room))


async def _with_later(stored: StoredVectors, key: Key, matrix: Matrix, room: Room) -> Matrix:
    """With those behind the last that is known. Raises NoRoom: more may come while it reads."""
    after, portions, more, has_room = matrix.last, [], True, False
    if not after:
        has_room = await _reserved(stored, key, room)
    while more:
        portion = await stored.vectors(key, after)
        more = len(portion) == PORTION
        if more and not has_room:
            has_room = await _reserved(stored, key, room)
        if portion:
            portions.append(portion)
            after = portion[-1][0]
        if portions and (len(portions) == _AT_ONCE or not more):
            matrix = await asyncio.to_thread(matrix.with_more, portions)
            portions = []
        if matrix.size > room.most_bytes:
            raise NoRoom
    return matrix


async def _reserved(stored: StoredVectors, key: Key, room: Room) -> bool:
    """Few are added without asking, and many wait. Counted no further than to the answer."""
    size = row_bytes(key.dimensions)
    await room.reserve(key, size * await stored.count(key, room.most_bytes // size + 1))
    return True


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
