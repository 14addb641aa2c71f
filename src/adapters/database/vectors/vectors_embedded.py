"""The VectorIndex in memory: exact, one matrix for each base, kept while there is room."""

import asyncio
from collections.abc import Sequence
from typing import Final

from adapters.database.vectors.vectors_following import followed
from adapters.database.vectors.vectors_matrix import Matrix, can_be_near, empty, nearest
from adapters.database.vectors.vectors_room import Loaded, NoRoom, Room
from adapters.database.vectors.vectors_stored import Key, Stamp, StoredVectors
from domain.ids import KnowledgeId
from domain.knowledge.embeddings import Vector
from domain.knowledge.retrieval import Hit, NotAllSearched

MOST_BYTES: Final = 512 * 1024 * 1024
TOO_LARGE: Final = (
    "A knowledge base has more vectors than the server may keep in memory ([vector] cache_bytes): it is searched by "
    "words alone."
)
_INLINE: Final = 500_000
"""So many multiplications take less time than a hop to a thread and back."""


class EmbeddedVectorIndex:
    """Over `chunk_vectors` of either dialect. Close it with `aclose`.

    The matrices take `most_bytes` at most, those that are being read too: a base that takes more alone is not searched.
    Before each search the counters of the bases tell what has changed, by whichever process, and only that is read.
    """

    def __init__(self, url: str, *, most_bytes: int = MOST_BYTES) -> None:
        self._stored = StoredVectors(url)
        self._room = Room(most_bytes)
        self._loads: dict[Key, asyncio.Task[Loaded | None]] = {}

    async def search(
        self, vector: Vector, model: str, knowledge_ids: Sequence[KnowledgeId], limit: int
    ) -> Sequence[Hit]:
        if not knowledge_ids or limit < 1 or not can_be_near(vector):
            return ()
        hits: list[Hit] = []
        searched = too_large = False
        # One base after the other: so no more than one is in memory that is not counted.
        stamps = await self._stored.stamps(knowledge_ids)
        for knowledge_id in dict.fromkeys(knowledge_ids):
            if (stamp := stamps.get(knowledge_id)) is None:
                continue
            try:
                matrix = await self._matrix(Key(knowledge_id, model, len(vector) // 4), stamp)
            except NoRoom:
                too_large = True
                continue
            searched = True
            if matrix.multiplications <= _INLINE:
                hits += nearest(matrix, vector, limit)
            else:
                hits += await asyncio.to_thread(nearest, matrix, vector, limit)
        best = sorted(hits, key=lambda hit: (-hit.score, hit.chunk_id))[:limit]
        if too_large:
            raise NotAllSearched(TOO_LARGE, best if searched else None)
        return best

    @property
    def size(self) -> int:
        """The bytes of all matrices that are kept."""
        return self._room.size

    @property
    def reserved(self) -> int:
        """The bytes that are spoken for by what is being read."""
        return self._room.reserved

    @property
    def loading(self) -> int:
        """How many bases are being read."""
        return len(self._loads)

    async def check(self) -> None:
        await self._stored.ping()

    async def aclose(self) -> None:
        await asyncio.gather(*self._loads.values(), return_exceptions=True)
        await self._stored.aclose()

    async def _matrix(self, key: Key, stamp: Stamp) -> Matrix:
        """Of the moment of the stamp, or later."""
        loaded = self._room.kept(key)
        while loaded is None or not loaded.stamp.covers(stamp):
            # A task of its own: whoever asked first may be cancelled while others wait for the same.
            task = self._loads.get(key) or self._begin(key)
            loaded = await asyncio.shield(task)
            if loaded is None:
                return empty(key.dimensions)
        self._room.note_use(key)
        return loaded.matrix

    def _begin(self, key: Key) -> "asyncio.Task[Loaded | None]":
        task = self._loads[key] = asyncio.create_task(self._load(key))
        task.add_done_callback(_retrieved)
        return task

    async def _load(self, key: Key) -> Loaded | None:
        try:
            loaded = await followed(self._stored, key, self._room)
            self._room.keep(key, loaded)
        except NoRoom:
            # It may shrink again: then it is read anew.
            self._room.keep(key, None)
            raise
        finally:
            self._room.give_up(key)
            del self._loads[key]
        return loaded


def _retrieved(task: "asyncio.Task[Loaded | None]") -> None:
    """Look at the error even when nobody waits any more: else the loop complains about it."""
    if not task.cancelled():
        task.exception()
