"""Finding passages for a question: ranked by meaning and by words, fused, and joined where they are neighbours."""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from application.knowledge.finding import FindChunks
from application.knowledge.query_turns import QueryTurns
from application.knowledge.rankings import (
    EMBEDDING_SECONDS,
    LOOKED_AT,
    PATIENCE_SECONDS,
    SEARCHING_SECONDS,
    OnTrouble,
    RankChunks,
    Rankings,
    checked,
    reason_of,
)
from application.ports.embedder import Embedders
from application.ports.knowledge import LexicalIndex, VectorIndex
from application.ports.persistence import Transactions
from application.ports.reranker import Reranker
from domain.errors import InvalidValue, ModelError, NotFound
from domain.ids import KnowledgeId, UserId
from domain.knowledge.fusion import depth_for, hybrid
from domain.knowledge.joining import passages_of
from domain.knowledge.knowledge import KnowledgeBase
from domain.knowledge.retrieval import FoundChunk, Hit, Passage

MOST_PASSAGES: Final = 50
MOST_BASES: Final = 128
CHUNKS_A_PASSAGE: Final = 4
"""How many chunks are looked at for each passage: neighbours make one."""
LEAST_RERANKED: Final = 30
"""Chunks: a reranker reads each of them, which takes its time."""
RERANKING_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Retrieval:
    """Best first. `lexical_only` says why some of it was found by words alone, None when nothing was."""

    passages: tuple[Passage, ...]
    lexical_only: str | None = None


@dataclass(frozen=True, slots=True)
class RetrieveKnowledge:
    """A passage's score is the reranker's, else how high its best chunk stands: 1 is first by meaning and by words.

    In bases of several models each one's best come first.
    """

    transactions: Transactions
    embedders: Embedders
    vectors: VectorIndex
    lexical: LexicalIndex
    reranker: Reranker | None
    on_trouble: OnTrouble
    embedding_seconds: float = EMBEDDING_SECONDS
    reranking_seconds: float = RERANKING_SECONDS
    searching_seconds: float = SEARCHING_SECONDS
    patience_seconds: float = PATIENCE_SECONDS
    turns: QueryTurns = field(default_factory=QueryTurns)

    async def __call__(
        self,
        actor: UserId,
        query: str,
        knowledge_ids: Sequence[str],
        top_k: int = 5,
        min_score: float | None = None,
    ) -> Retrieval:
        """Raises InvalidValue, TooLarge, NotFound `knowledge_not_found` for the first base that is not the caller's.

        And Unavailable `retrieval_timeout` when the search takes too long, TooManyRequests when too many questions
        of the caller wait.
        """
        checked(query)
        if not 1 <= top_k <= MOST_PASSAGES:
            raise InvalidValue("top_k", f"must be 1 to {MOST_PASSAGES}")
        if min_score is not None and not 0 <= min_score <= 1:
            raise InvalidValue("min_score", "must be 0 to 1")
        bases = await self.bases(actor, knowledge_ids)
        refuse_missing(knowledge_ids, bases)
        return await self.within(actor, query, bases, top_k, min_score)

    async def bases(self, actor: UserId, knowledge_ids: Sequence[str]) -> Sequence[KnowledgeBase]:
        """Those that are there and the caller's."""
        unique = [KnowledgeId(one) for one in dict.fromkeys(knowledge_ids)]
        if not 1 <= len(unique) <= MOST_BASES:
            raise InvalidValue("knowledge_id", f"must name 1 to {MOST_BASES} knowledge bases")
        async with self.transactions.autocommit() as tx:
            return await tx.knowledge.these(unique, owner=actor)

    async def within(
        self,
        actor: UserId,
        query: str,
        bases: Sequence[KnowledgeBase],
        top_k: int,
        min_score: float | None = None,
        rerank_by: float = math.inf,
    ) -> Retrieval:
        """In bases that the caller was found to own. A reranker that is not done by then, on the event loop's clock,
        is not waited for: who has less time than it may take gets what was found."""
        query = checked(query)[:LOOKED_AT]
        wanted = max(LEAST_RERANKED, 2 * top_k) if self.reranker else CHUNKS_A_PASSAGE * top_k
        found = await self.find(actor, query, bases, depth_for(top_k), lambda ranked: [_merged(ranked)[:wanted]])
        ranked = found.ways[0]
        if self.reranker is not None and ranked:
            ranked = await self._reranked(self.reranker, query, ranked, rerank_by)
        passages = await _joined(ranked, top_k)
        kept = (one for one in passages if min_score is None or one.score >= min_score)
        return Retrieval(tuple(kept), reason_of(found.rankings))

    @property
    def rank(self) -> RankChunks:
        return RankChunks(
            self.embedders,
            self.vectors,
            self.lexical,
            self.on_trouble,
            self.turns,
            self.embedding_seconds,
            self.searching_seconds,
            self.patience_seconds,
        )

    @property
    def find(self) -> FindChunks:
        return FindChunks(self.transactions, self.rank)

    @property
    def find_patiently(self) -> FindChunks:
        return FindChunks(self.transactions, replace(self.rank, is_patient=True))

    async def _reranked(
        self, reranker: Reranker, query: str, ranked: Sequence[tuple[FoundChunk, float]], by: float
    ) -> Sequence[tuple[FoundChunk, float]]:
        """By what the reranker says; as they were when it says nothing."""
        chunks = [chunk for chunk, _ in ranked]
        try:
            async with asyncio.timeout_at(min(by, asyncio.get_running_loop().time() + self.reranking_seconds)):
                scores = await reranker.scores(query, [chunk.content for chunk in chunks])
            scored = [(chunk, min(1.0, max(0.0, score))) for chunk, score in zip(chunks, scores, strict=True)]
        except (ModelError, TimeoutError, ValueError) as trouble:
            self.on_trouble(trouble)
            return ranked
        return sorted(scored, key=lambda one: -one[1])


def refuse_missing(knowledge_ids: Sequence[str], bases: Sequence[KnowledgeBase]) -> None:
    there = {base.knowledge_id for base in bases}
    for one in knowledge_ids:
        if one not in there:
            raise NotFound("knowledge", one)


def _merged(rankings: Sequence[Rankings]) -> list[Hit]:
    """A chunk is in one base, and so in the rankings of one model."""
    fused = (hit for one in rankings for hit in hybrid(one.dense, one.lexical))
    return sorted(fused, key=lambda hit: -hit.score)


async def _joined(ranked: Sequence[tuple[FoundChunk, float]], top_k: int) -> Sequence[Passage]:
    """Many passages take milliseconds to be joined: not on the event loop."""
    if top_k <= 10:
        return passages_of(ranked, top_k)
    return await asyncio.to_thread(passages_of, ranked, top_k)
