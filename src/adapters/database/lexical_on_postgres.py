"""The LexicalIndex on Postgres: tsvectors of our own terms in a GIN index, which knows the base too.

A tsvector's own ranking knows no rarity and would read every vector that was found. So the index alone answers: a term
that stands twice, or four times, is held by another lexeme besides, and BM25 is computed from what each lexeme finds.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from sqlalchemy import BigInteger, Integer, Text, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.engine import Connection

from adapters.database.lexemes import ENOUGH, asked, lexeme
from adapters.database.session import Session
from domain.ids import ChunkId, KnowledgeId
from domain.retrieval import Hit

_SCOPE: Final = "\ue001"
_OFTEN: Final = {2: "\ue002", 4: "\ue004"}

_ADD: Final = text(
    "INSERT INTO chunk_terms (chunk_id, length, terms) VALUES (:chunk, :length, array_to_tsvector(:lexemes))"
).bindparams(bindparam("chunk", type_=BigInteger), bindparam("lexemes", type_=ARRAY(Text)))

_BEST: Final = text(
    """
    WITH held AS MATERIALIZED (
        SELECT term, often, chunk_id, length
        FROM unnest(:terms, :times, :queries) AS wanted (term, often, query)
        CROSS JOIN LATERAL (
            SELECT chunk_id, length FROM chunk_terms WHERE terms @@ CAST(query AS tsquery) LIMIT :enough
        ) AS found
    ), counted AS (
        SELECT term, count(*) AS number, sum(count(*)) OVER (ORDER BY count(*), term) AS together
        FROM held WHERE often = 1 GROUP BY term
    ), kept AS (
        SELECT term, ln(1 + (size.chunks - number + 0.5) / (number + 0.5)) AS rarity
        FROM counted,
            (SELECT greatest(coalesce(sum(chunks), 0), (SELECT max(number) FROM counted)) AS chunks
             FROM knowledge_files WHERE knowledge_id = ANY (:bases)) AS size
        WHERE together = number
            OR together <= 2 * :enough AND (number < :enough OR :enough <= (SELECT min(number) FROM counted))
    ), mean AS (
        SELECT avg(length) AS length FROM held
    ), counts AS (
        SELECT chunk_id, term, max(often) AS often, max(held.length / greatest(mean.length, 1)) AS length
        FROM held, mean GROUP BY chunk_id, term
    )
    SELECT chunk_id,
        CAST(sum(rarity * often * 2.2 / (often + 1.2 * (0.25 + 0.75 * length))) AS double precision) AS score
    FROM counts JOIN kept USING (term)
    GROUP BY chunk_id ORDER BY score DESC, chunk_id LIMIT :row_limit
    """
).bindparams(
    bindparam("terms", type_=ARRAY(Integer)),
    bindparam("times", type_=ARRAY(Integer)),
    bindparam("queries", type_=ARRAY(Text)),
    bindparam("bases", type_=ARRAY(Text)),
    bindparam("enough", type_=Integer),
    bindparam("row_limit", type_=Integer),
)


def add_terms(connection: Connection, knowledge_id: str, terms: Mapping[ChunkId, Mapping[str, int]]) -> None:
    rows = [
        {"chunk": chunk_id, "length": sum(found.values()), "lexemes": _held(knowledge_id, found)}
        for chunk_id, found in terms.items()
    ]
    if rows:
        connection.execute(_ADD, rows)


class PostgresLexicalIndex:
    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    async def search(self, terms: Sequence[str], knowledge_ids: Sequence[KnowledgeId], limit: int) -> Sequence[Hit]:
        wanted = asked(terms)
        if not wanted or not knowledge_ids or limit < 1:
            return ()
        scope = " | ".join(f"'{_SCOPE}{lexeme(one)}'" for one in dict.fromkeys(knowledge_ids))
        # Lexemes hold no quotes: nothing in them can end a string, or be an operator.
        queries = [
            (number, often, f"'{one}{mark}' & ({scope})")
            for number, one in enumerate(wanted)
            for often, mark in ((1, ""), *_OFTEN.items())
        ]
        numbers, times, asking = zip(*queries, strict=True)
        values = {"terms": [*numbers], "times": [*times], "queries": [*asking], "bases": [*knowledge_ids]}
        rows = await self._session.rows(_BEST, {**values, "enough": ENOUGH, "row_limit": limit})
        return [Hit(ChunkId(chunk), score) for chunk, score in rows]

    async def aclose(self) -> None:
        """The connections are the transactions'."""


def _held(knowledge_id: str, found: Mapping[str, int]) -> list[str]:
    often = [one + mark for one, count in found.items() for least, mark in _OFTEN.items() if count >= least]
    return [_SCOPE + lexeme(knowledge_id), *found, *often]
