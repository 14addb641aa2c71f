"""The VectorIndex in memory: exact, one matrix for each base, kept while there is room."""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from adapters.database.vectors_following import Loaded, NoRoom, followed
from adapters.database.vectors_matrix import Matrix, can_be_near, empty, nearest
from adapters.database.vectors_stored import Key, Stamp, StoredVectors
from domain.embeddings import Vector
from domain.ids import KnowledgeId
from domain.retrieval import Hit, NotAllSearched

MOST_BYTES: Final = 512 * 1024 * 1024
TOO_LARGE: Final = (
    "A knowledge base has more vectors than the server may keep in memory ([vector] cache_bytes): it is searched by "
    "words alone."
)
_INLINE: Final = 500_000
"""So many multiplications take less time than a hop to a thread and back."""


class EmbeddedVectorIndex:
    """Over `chunk_vectors` of either dialect. Close it with `aclose`.

    The matrices take `most_bytes` at most: a base that takes more alone is not searched. Before each search the
    counters of the bases tell what has changed, by whichever process, and only that is read.
    """

    def __init__(self, url: str, *, most_bytes: int = MOST_BYTES) -> None:
        self._stored = StoredVectors(url)
        self._most_bytes = most_bytes
        self._kept: OrderedDict[Key, Loaded] = OrderedDict()
        self._bytes = 0
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
        return self._bytes

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
        loaded = self._kept.get(key)
        while loaded is None or not loaded.stamp.covers(stamp):
            # A task of its own: whoever asked first may be cancelled while others wait for the same.
            task = self._loads.get(key) or self._begin(key)
            loaded = await asyncio.shield(task)
            if loaded is None:
                return empty(key.dimensions)
        if key in self._kept:
            self._kept.move_to_end(key)
        return loaded.matrix

    def _begin(self, key: Key) -> "asyncio.Task[Loaded | None]":
        task = self._loads[key] = asyncio.create_task(self._load(key))
        task.add_done_callback(_retrieved)
        return task

    async def _load(self, key: Key) -> Loaded | None:
        try:
            loaded = await followed(self._stored, key, self._kept.get(key), self._most_bytes)
            self._keep(key, loaded)
        except NoRoom:
            # It may shrink again: then it is read anew.
            self._keep(key, None)
            raise
        finally:
            del self._loads[key]
        return loaded

    def _keep(self, key: Key, loaded: Loaded | None) -> None:
        if before := self._kept.pop(key, None):
            self._bytes -= before.matrix.size
        if loaded is None:
            return
        self._kept[key] = loaded
        self._bytes += loaded.matrix.size
        while self._bytes > self._most_bytes:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= oldest.matrix.size


def _retrieved(task: "asyncio.Task[Loaded | None]") -> None:
    """Look at the error even when nobody waits any more: else the loop complains about it."""
    if not task.cancelled():
        task.exception()
