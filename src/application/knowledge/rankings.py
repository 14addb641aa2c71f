"""Chunks ranked for a query by meaning and by words, at the same time, in bases that the caller may read."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from application.knowledge.query_turns import QueryTurns
from application.ports.embedder import Embedder, Embedders
from application.ports.knowledge import LexicalIndex, VectorIndex
from domain.errors import InvalidValue, ModelError, TooLarge, Unavailable
from domain.ids import ChunkId, KnowledgeId, UserId
from domain.knowledge.embeddings import Vector, shown_name
from domain.knowledge.knowledge import KnowledgeBase
from domain.knowledge.lexical import index_terms
from domain.knowledge.retrieval import Hit, NotAllSearched
from domain.text import storable
from domain.tokens import reach

MOST_QUERY_CHARS: Final = 100_000
LOOKED_AT: Final = 8_000
"""Characters of a query that are searched for: its beginning says what it asks."""
EMBEDDED_TOKENS: Final = 128
"""Of them, those that are embedded: the local model takes half a second for so many, and others wait meanwhile."""
MOST_TERMS: Final = 64
"""The first ones. More make the search slower and hardly better."""
MOST_LOOKUPS: Final = 1_024
"""Terms times bases: in many bases fewer terms are searched for, and in each base the same."""
EMBEDDING_SECONDS: Final = 10.0
SEARCHING_SECONDS: Final = 10.0
PATIENCE_SECONDS: Final = 60.0
RETRY_SECONDS: Final = 5.0
IN_PART: Final = "Vectors of a part are still being made."

_T = TypeVar("_T")

OnTrouble = Callable[[Exception], None]


@dataclass(frozen=True, slots=True)
class Rankings:
    """Of bases whose vectors are of one model. `dense` is None where no vectors are searched; `lacking` says why.

    It also says what is lacking where some vectors are searched, and not all. The rest is what was searched for.
    """

    dense: Sequence[Hit] | None
    lexical: Sequence[Hit]
    lacking: str | None = None
    bases: Sequence[KnowledgeBase] = ()
    terms: Sequence[str] = ()
    vector: Vector | None = None

    def without(self, gone: Collection[ChunkId], depth: int) -> "Rankings":
        """The first of each ranking that are not gone."""
        dense = self.dense and [hit for hit in self.dense if hit.chunk_id not in gone][:depth]
        return replace(self, dense=dense, lexical=[hit for hit in self.lexical if hit.chunk_id not in gone][:depth])


@dataclass(frozen=True, slots=True)
class RankChunks:
    """Whatever is wrong with an embedding model, words still find something. `on_trouble` hears of it.

    Who `is_patient` waits for the model behind all who are not, and is refused when it is too busy: what they measure
    must not change with the load.
    """

    embedders: Embedders
    vectors: VectorIndex
    lexical: LexicalIndex
    on_trouble: OnTrouble
    turns: QueryTurns
    embedding_seconds: float = EMBEDDING_SECONDS
    searching_seconds: float = SEARCHING_SECONDS
    patience_seconds: float = PATIENCE_SECONDS
    is_patient: bool = False

    async def __call__(self, query: str, bases: Sequence[KnowledgeBase], limit: int) -> Sequence[Rankings]:
        """For each model of the bases, which the caller proved to be theirs; `query` is `checked`.

        Raises Unavailable `retrieval_timeout` when a search takes too long, TooManyRequests when too many questions
        of the caller wait; to the patient Unavailable `embedding_unavailable`, too.
        """
        asked = query.strip()[:LOOKED_AT]
        models = dict.fromkeys(base.model for base in bases)
        groups = [[base for base in bases if base.model == model] for model in models]
        for first, *_ in groups:
            if first.model is not None and not self.is_patient:
                self.turns.refuse_full(first.model, first.user_id)
        terms = _terms(asked, len(bases))
        return await together(*(self._of_one_model(asked, terms, group, limit) for group in groups))

    async def deeper(self, rankings: Sequence[Rankings], limit: int) -> Sequence[Rankings]:
        """The same searches again, for more: what was embedded is not embedded again."""
        return await together(*(self._deeper(one, limit) for one in rankings))

    async def _deeper(self, before: Rankings, limit: int) -> Rankings:
        found = await self._both(before.terms, before.bases, limit, self._nearest(before.vector, before.bases, limit))
        return found if before.vector else replace(found, lacking=before.lacking)

    async def _of_one_model(
        self, asked: str, terms: Sequence[str], bases: Sequence[KnowledgeBase], limit: int
    ) -> Rankings:
        return await self._both(terms, bases, limit, self._by_meaning(asked, bases, limit))

    async def _both(
        self,
        terms: Sequence[str],
        bases: Sequence[KnowledgeBase],
        limit: int,
        by_meaning: Coroutine[Any, Any, Rankings],
    ) -> Rankings:
        words, meant = await together(self._by_words(terms, bases, limit), by_meaning)
        return replace(meant, lexical=words.lexical, bases=bases, terms=terms)

    async def _by_words(self, terms: Sequence[str], bases: Sequence[KnowledgeBase], limit: int) -> Rankings:
        return Rankings(None, await self._in_time(self.lexical.search(terms, _ids(bases), limit)) if terms else ())

    async def _by_meaning(self, asked: str, bases: Sequence[KnowledgeBase], limit: int) -> Rankings:
        vector, lacking = await self._embedded(asked, bases[0].model, bases[0].user_id)
        return await self._nearest(vector, bases, limit) if vector else Rankings(None, (), lacking)

    async def _nearest(self, vector: Vector | None, bases: Sequence[KnowledgeBase], limit: int) -> Rankings:
        model = bases[0].model
        if vector is None or model is None:
            return Rankings(None, ())
        try:
            dense = await self._in_time(self.vectors.search(vector, model, _ids(bases), limit))
        except NotAllSearched as trouble:
            self.on_trouble(trouble)
            return Rankings(trouble.hits, (), str(trouble), vector=vector)
        return Rankings(dense, (), IN_PART if any(base.incomplete for base in bases) else None, vector=vector)

    async def _in_time(self, search: Awaitable[Sequence[Hit]]) -> Sequence[Hit]:
        try:
            async with asyncio.timeout(self.searching_seconds):
                return await search
        except TimeoutError as trouble:
            seconds = f"{self.searching_seconds:g} seconds"
            message = f"The knowledge bases gave no answer within {seconds}. Ask for less, or later."
            raise Unavailable("retrieval_timeout", message, retry_after=RETRY_SECONDS) from trouble

    async def _embedded(self, asked: str, model: str | None, owner: UserId) -> tuple[Vector | None, str | None]:
        if model is None:
            lacking = None if self.embedders.configured else self.embedders.lacking
            return None, lacking or "Vectors of the knowledge base are not made yet."
        embedder = self.embedders.open(model)
        if embedder is None:
            return None, f"The embedding model {shown_name(model)} can't be reached with the present configuration."
        try:
            return await self._vector(embedder, asked[: reach(asked, 0, len(asked), EMBEDDED_TOKENS)], owner), None
        except ModelError as trouble:
            self.on_trouble(trouble)
            why, may_pass = f"The embedding model {shown_name(model)} failed: {trouble.message}", trouble.retryable
        except TimeoutError as trouble:
            self.on_trouble(trouble)
            seconds = self.patience_seconds if self.is_patient else self.embedding_seconds
            why, may_pass = f"The embedding model {shown_name(model)} gave no answer within {seconds:g} seconds.", True
        if self.is_patient and may_pass:
            raise Unavailable("embedding_unavailable", f"{why} Try again later.", retry_after=RETRY_SECONDS)
        return None, why

    async def _vector(self, embedder: Embedder, text: str, owner: UserId) -> Vector:
        """The wait for one's turn counts."""
        async with (
            asyncio.timeout(self.patience_seconds if self.is_patient else self.embedding_seconds),
            self.turns.place(embedder, owner, patient=self.is_patient),
        ):
            return await embedder.query(text)


def checked(query: str, *, field: str = "query") -> str:
    """Raises InvalidValue, TooLarge."""
    if not query.strip():
        raise InvalidValue(field, "must not be empty")
    if len(query) > MOST_QUERY_CHARS:
        raise TooLarge(field, f"must have at most {MOST_QUERY_CHARS:,} characters, has {len(query):,}")
    return storable(field, query.strip())


def _terms(asked: str, bases: int) -> Sequence[str]:
    most = min(MOST_TERMS, MOST_LOOKUPS // max(1, bases))
    return list(dict.fromkeys(index_terms(asked)))[: max(1, most)]


def reason_of(rankings: Sequence[Rankings]) -> str | None:
    """Why some of it was ranked by words alone, None when nothing was."""
    return " ".join(dict.fromkeys(one.lacking for one in rankings if one.lacking)) or None


def _ids(bases: Sequence[KnowledgeBase]) -> Sequence[KnowledgeId]:
    return [base.knowledge_id for base in bases]


async def together(*work: Coroutine[Any, Any, _T]) -> list[_T]:
    """When one fails, the others are given up, and have ended when this ends."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
