"""Chunks ranked for a query by meaning and by words, at the same time, in bases that the caller may read."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from application.ports.embedder import Embedders
from application.ports.knowledge import LexicalIndex, VectorIndex
from domain.embeddings import Vector, shown_name
from domain.errors import InvalidValue, ModelError, TooLarge, Unavailable
from domain.ids import KnowledgeId
from domain.knowledge import KnowledgeBase
from domain.lexical import index_terms
from domain.retrieval import Hit
from domain.text import storable

MOST_QUERY_CHARS: Final = 100_000
LOOKED_AT: Final = 8_000
"""Characters of a query that are searched for: its beginning says what it asks."""
MOST_TERMS: Final = 64
"""The first ones. More make the search slower and hardly better."""
MOST_LOOKUPS: Final = 1_024
"""Terms times bases: in many bases fewer terms are searched for, and in each base the same."""
EMBEDDING_SECONDS: Final = 10.0
SEARCHING_SECONDS: Final = 10.0
RETRY_SECONDS: Final = 5.0

OnTrouble = Callable[[Exception], None]


@dataclass(frozen=True, slots=True)
class Rankings:
    """Of bases whose vectors are of one model. `dense` is None where no vectors are searched; `lacking` says why."""

    dense: Sequence[Hit] | None
    lexical: Sequence[Hit]
    lacking: str | None = None


@dataclass(frozen=True, slots=True)
class RankChunks:
    """Whatever is wrong with an embedding model, words still find something. `on_trouble` hears of it."""

    embedders: Embedders
    vectors: VectorIndex
    lexical: LexicalIndex
    on_trouble: OnTrouble
    embedding_seconds: float = EMBEDDING_SECONDS
    searching_seconds: float = SEARCHING_SECONDS

    async def __call__(self, query: str, bases: Sequence[KnowledgeBase], limit: int) -> Sequence[Rankings]:
        """For each model of the bases, which the caller proved to be theirs; `query` is `checked`.

        Raises Unavailable `retrieval_timeout` when a search takes too long.
        """
        asked = query.strip()[:LOOKED_AT]
        models = dict.fromkeys(base.model for base in bases)
        groups = [(model, [base.knowledge_id for base in bases if base.model == model]) for model in models]
        terms = _terms(asked, len(bases))
        return await asyncio.gather(*(self._of_one_model(asked, terms, model, ids, limit) for model, ids in groups))

    async def _of_one_model(
        self, asked: str, terms: Sequence[str], model: str | None, knowledge_ids: Sequence[KnowledgeId], limit: int
    ) -> Rankings:
        lexical, (dense, lacking) = await asyncio.gather(
            self._by_words(terms, knowledge_ids, limit), self._by_meaning(asked, model, knowledge_ids, limit)
        )
        return Rankings(dense, lexical, lacking)

    async def _by_words(self, terms: Sequence[str], knowledge_ids: Sequence[KnowledgeId], limit: int) -> Sequence[Hit]:
        return await self._in_time(self.lexical.search(terms, knowledge_ids, limit)) if terms else ()

    async def _by_meaning(
        self, asked: str, model: str | None, knowledge_ids: Sequence[KnowledgeId], limit: int
    ) -> tuple[Sequence[Hit] | None, str | None]:
        vector, lacking = await self._embedded(asked, model)
        if model is None or vector is None:
            return None, lacking
        return await self._in_time(self.vectors.search(vector, model, knowledge_ids, limit)), None

    async def _in_time(self, search: Awaitable[Sequence[Hit]]) -> Sequence[Hit]:
        try:
            async with asyncio.timeout(self.searching_seconds):
                return await search
        except TimeoutError as trouble:
            seconds = f"{self.searching_seconds:g} seconds"
            message = f"The knowledge bases gave no answer within {seconds}. Ask for less, or later."
            raise Unavailable("retrieval_timeout", message, retry_after=RETRY_SECONDS) from trouble

    async def _embedded(self, asked: str, model: str | None) -> tuple[Vector | None, str | None]:
        if model is None:
            lacking = None if self.embedders.configured else self.embedders.lacking
            return None, lacking or "Vectors of the knowledge base are not made yet."
        embedder = self.embedders.open(model)
        if embedder is None:
            return None, f"The embedding model {shown_name(model)} can't be reached with the present configuration."
        try:
            async with asyncio.timeout(self.embedding_seconds):
                return await embedder.query(asked), None
        except ModelError as trouble:
            self.on_trouble(trouble)
            return None, f"The embedding model {shown_name(model)} failed: {trouble.message}"
        except TimeoutError as trouble:
            self.on_trouble(trouble)
            return (
                None,
                f"The embedding model {shown_name(model)} gave no answer within {self.embedding_seconds:g} seconds.",
            )


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
