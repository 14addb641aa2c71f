"""Chunks that are there, of those that are ranked: what was removed a moment ago leaves its place to what follows."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from application.knowledge.rankings import IN_PART, RankChunks, Rankings
from application.ports.persistence import Transactions
from domain.ids import ChunkId, UserId
from domain.knowledge.knowledge import KnowledgeBase
from domain.knowledge.retrieval import FoundChunk, Hit

MOST_HIDDEN: Final = 20_000
"""Chunks of removed files that are looked past: as many as the largest file has."""
_DEEPER: Final = 8
_LOOKS: Final = 3
"""More goes away while it is looked at only now and then."""

Ways = Callable[[Sequence[Rankings]], Sequence[Sequence[Hit]]]
"""What of the rankings is to be shown, in one order or several."""


@dataclass(frozen=True, slots=True)
class Found:
    """`ways` as they were chosen, of chunks that are there, with their scores."""

    rankings: Sequence[Rankings]
    ways: Sequence[Sequence[tuple[FoundChunk, float]]]


@dataclass(frozen=True, slots=True)
class FindChunks:
    """As if nothing of a removed file were stored any more, which the indexes still rank until its purge is done.

    Where everything that is chosen is there, it costs no more than a look at that.
    """

    transactions: Transactions
    rank: RankChunks

    async def __call__(
        self, actor: UserId, query: str, bases: Sequence[KnowledgeBase], depth: int, ways: Ways
    ) -> Found:
        """Raises what `rank` raises."""
        rankings = await self.rank(query, bases, depth)
        if any(_may_be_left_behind(one, depth) for one in rankings):
            now = await self._as_they_are(actor, bases)
            if [base.model for base in now] != [base.model for base in bases]:
                rankings = await self.rank(query, now, depth)
        for look in range(_LOOKS):
            chosen = ways(rankings)
            wanted = {hit.chunk_id for way in chosen for hit in way}
            chunks = await self._shown(actor, wanted)
            if len(chunks) == len(wanted) or look == _LOOKS - 1:
                break
            gone = {*await self._hidden(bases), *(wanted - chunks.keys())}
            rankings = await self._living(rankings, gone, depth)
        shown = [[(chunks[hit.chunk_id], hit.score) for hit in way if hit.chunk_id in chunks] for way in chosen]
        return Found(rankings, shown)

    async def _living(self, rankings: Sequence[Rankings], gone: Collection[ChunkId], depth: int) -> Sequence[Rankings]:
        limit, most = depth, depth + len(gone)
        while True:
            living = [one.without(gone, depth) for one in rankings]
            if limit == most or all(map(_is_enough, rankings, living, [limit] * len(living), [depth] * len(living))):
                return living
            limit = min(_DEEPER * limit, most)
            rankings = await self.rank.deeper(rankings, limit)

    async def _as_they_are(self, actor: UserId, bases: Sequence[KnowledgeBase]) -> Sequence[KnowledgeBase]:
        async with self.transactions.autocommit() as tx:
            found = await tx.knowledge.these([base.knowledge_id for base in bases], owner=actor)
        now = {base.knowledge_id: base for base in found}
        return [now.get(base.knowledge_id, base) for base in bases]

    async def _hidden(self, bases: Sequence[KnowledgeBase]) -> Collection[ChunkId]:
        async with self.transactions.autocommit() as tx:
            return await tx.chunks.hidden([base.knowledge_id for base in bases], MOST_HIDDEN)

    async def _shown(self, actor: UserId, wanted: Collection[ChunkId]) -> Mapping[ChunkId, FoundChunk]:
        if not wanted:
            return {}
        async with self.transactions.autocommit() as tx:
            shown = await tx.chunks.shown([*wanted], owner=actor)
        return {chunk.chunk_id: chunk for chunk in shown}


def _is_enough(before: Rankings, living: Rankings, limit: int, depth: int) -> bool:
    """Each ranking is as deep as was wanted, or the search gave all that it has."""
    pairs = ((before.dense or (), living.dense or ()), (before.lexical, living.lexical))
    return all(len(found) < limit or len(left) >= depth for found, left in pairs)


def _may_be_left_behind(one: Rankings, depth: int) -> bool:
    """Where not even all that shares a word is near, vectors are lacking: of a model that was given up meanwhile?

    A search that is not full found every vector that there is.
    """
    if one.dense is None or len(one.dense) >= depth or one.lacking not in (None, IN_PART):
        return False
    near = {hit.chunk_id for hit in one.dense}
    return not near or any(hit.chunk_id not in near for hit in one.lexical)
