"""The VectorIndex of pgvector: HNSW among what is large, every vector in turn among what is small."""

import time
from collections import OrderedDict
from collections.abc import Sequence
from functools import lru_cache
from math import isfinite
from struct import unpack
from typing import Any, Final

from sqlalchemy import ARRAY, REAL, Integer, Text, TextClause, bindparam, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.util import greenlet_spawn

from adapters.database.engine import STATEMENT_SECONDS, Gate, postgres_creator
from adapters.database.session import Lane, SingleStatements
from adapters.database.vectors.pgvector_table import indexed_as
from domain.errors import Unavailable
from domain.ids import ChunkId, KnowledgeId
from domain.knowledge.embeddings import Vector
from domain.knowledge.retrieval import Hit

SMALL: Final = 20_000
"""So many vectors are compared one by one about as fast as HNSW finds its way, and nothing is overlooked."""

CANDIDATES: Final = 200
"""Taken from HNSW at least, the best of them kept: where a filter cuts off half the neighbourhood (measured on 100,000
in clusters), ten of ten candidates held 0.88 of the true ten, of 100 candidates 0.95, of 200 0.98."""

REMEMBERED_SECONDS: Final = 60.0
REMEMBERED: Final = 1000
PATIENCE_SECONDS: Final = 10.0

# Of the session, so that a search is one statement without a transaction around it. A plan is made for each search:
# one that was made for any bases would not know how many rows are wanted. Who asks in the order of the index has
# decided for HNSW, by the true number; the planner would by statistics that may be old. Other statements must sort.
SETTINGS: Final = {
    "hnsw.iterative_scan": "relaxed_order",
    "hnsw.ef_search": str(CANDIDATES),
    "hnsw.max_scan_tuples": "40000",
    "enable_sort": "off",
    "plan_cache_mode": "force_custom_plan",
    "statement_timeout": str(STATEMENT_SECONDS * 1000),
}
_TYPES: Final[dict[str, Any]] = {
    "query": ARRAY(REAL),
    "knowledge_ids": ARRAY(Text),
    "model": Text(),
    "row_limit": Integer(),
    "candidates": Integer(),
    "dimensions": Integer(),
    "small": Integer(),
}


def _typed(statement: str) -> TextClause:
    named = [bindparam(name, type_=kind) for name, kind in _TYPES.items() if f":{name}" in statement]
    return text(statement).bindparams(*named)


_EXACT: Final = _typed(
    """
    SELECT chunk_id, -(vector <#> CAST(:query AS vector)) AS score FROM chunk_embeddings
    WHERE model = :model AND knowledge_id = ANY(:knowledge_ids) AND vector_dims(vector) = :dimensions
    ORDER BY score DESC, chunk_id LIMIT :row_limit
    """
)
# HNSW passes over what the filter doesn't want, some 20 times slower than vectors are compared one by one: what is
# small beside all that is stored is sooner found without it. It counts no further than to the answer.
_IS_LARGE: Final = _typed(
    """
    WITH small AS (
        SELECT CAST(greatest(:small, sqrt(2000 * greatest(reltuples, 0))) AS bigint) AS most
        FROM pg_class WHERE oid = to_regclass('chunk_embeddings')
    )
    SELECT count(*) > (SELECT most FROM small) FROM (
        SELECT FROM chunk_embeddings WHERE model = :model AND knowledge_id = ANY(:knowledge_ids)
        LIMIT (SELECT most + 1 FROM small)
    ) AS counted
    """
)
_THERE: Final = text("SELECT to_regclass('chunk_embeddings') IS NOT NULL")


@lru_cache(maxsize=32)
def _nearest(dimensions: int, kind: str) -> TextClause:
    # The numbers are written out: so the planner sees that the partial index holds all that is wanted.
    return _typed(
        f"""
        SELECT chunk_id, score FROM (
            SELECT chunk_id, -(vector <#> CAST(:query AS vector)) AS score, count(*) OVER () AS candidates FROM (
                SELECT chunk_id, vector FROM chunk_embeddings
                WHERE model = :model AND knowledge_id = ANY(:knowledge_ids) AND vector_dims(vector) = {dimensions:d}
                ORDER BY CAST(vector AS {kind}) <#> CAST(CAST(:query AS vector) AS {kind}) LIMIT :candidates
            ) AS near
        ) AS scored
        WHERE candidates = :candidates ORDER BY score DESC, chunk_id LIMIT :row_limit
        """  # noqa: S608 - a number, and a name made of it
    )


class PgVectorIndex:
    """Over `chunk_embeddings`. Close it with `aclose`.

    It has connections of its own, `pool_size` at most: many searches hold up no other work. Where more than `small`
    vectors are asked, it may overlook some.
    """

    def __init__(self, url: str, *, pool_size: int = 4, small: int = SMALL) -> None:
        self._engine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=postgres_creator(url, **SETTINGS),
            pool_size=pool_size,
            max_overflow=0,
            pool_use_lifo=True,
        )
        lane = Lane(self._engine.sync_engine, Gate(pool_size, PATIENCE_SECONDS))
        self._session = SingleStatements(lane, lane, greenlet_spawn)
        self._small = small
        self._large: OrderedDict[tuple[str, ...], tuple[float, bool]] = OrderedDict()

    async def search(
        self, vector: Vector, model: str, knowledge_ids: Sequence[KnowledgeId], limit: int
    ) -> Sequence[Hit]:
        query = unpack(f"<{len(vector) // 4}f", vector)
        if not knowledge_ids or limit < 1 or not query or not all(map(isfinite, query)):
            return ()
        asked = {"model": model, "knowledge_ids": sorted(knowledge_ids)}
        values = {**asked, "query": query}
        kind = indexed_as(len(query))
        if kind and await self._is_large(asked):
            # Nothing when the scan gave up: what it lacks may be there nevertheless.
            best = {**values, "candidates": max(CANDIDATES, limit), "row_limit": limit}
            if found := await self._hits(_nearest(len(query), kind), best):
                return found
        return await self._hits(_EXACT, {**values, "row_limit": limit, "dimensions": len(query)})

    async def check(self) -> None:
        rows = await self._session.rows(_THERE, {})
        if not rows[0][0]:
            raise Unavailable("pgvector_missing", "The table of vectors is missing: start the server anew to make it.")

    async def aclose(self) -> None:
        await self._engine.dispose()

    async def _is_large(self, asked: dict[str, Any]) -> bool:
        """Remembered for a while: what has grown or shrunk meanwhile is searched rightly, only not in the best way."""
        key, now = (asked["model"], *asked["knowledge_ids"]), time.monotonic()
        until, large = self._large.get(key, (0.0, False))
        if until < now:
            rows = await self._session.rows(_IS_LARGE, {**asked, "small": self._small})
            large = bool(rows[0][0])
            self._large[key] = (now + REMEMBERED_SECONDS, large)
            if len(self._large) > REMEMBERED:
                self._large.popitem(last=False)
        return large

    async def _hits(self, statement: TextClause, values: dict[str, Any]) -> list[Hit]:
        rows = await self._session.rows(statement, values)
        hits = [Hit(ChunkId(chunk_id), score) for chunk_id, score in rows]
        return sorted(hits, key=lambda hit: (-hit.score, hit.chunk_id))
