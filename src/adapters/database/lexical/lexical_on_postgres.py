"""The LexicalIndex on Postgres: tsvectors of our own terms in a GIN index, which knows the base too.

A tsvector's own ranking knows no rarity and would read every vector that was found. So the index alone answers: a term
that stands twice, or four times, is held by another lexeme besides, and BM25 is computed from what each lexeme finds.
Sums and means are made double precision before anything is multiplied: as numeric they took four fifths of the time.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

from sqlalchemy import BigInteger, Integer, Text, TextClause, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.engine import Connection

from adapters.database.lexical.lexemes import MOST_KEPT, asked, scope
from adapters.database.session import Session
from domain.ids import ChunkId, KnowledgeId
from domain.knowledge.retrieval import Hit

ENOUGH: Final = 1500
"""No more chunks than this are looked at for a term, and no more than twice as many are ranked: the commonest terms are
left out while rarer ones are there, and who asks for nothing else gets some of what holds it."""
USUAL: Final = 200
"""Who asks for more looks past chunks that hold the same terms, and are to be purged."""

_TWICE: Final = "\ue002"
_OFTEN: Final = "\ue004"
_MARKS: Final = (("", 1), (_TWICE, 2), (_OFTEN, 4))

_ADD: Final = text(
    "INSERT INTO chunk_terms (chunk_id, length, terms) VALUES (:chunk, :length, array_to_tsvector(:lexemes))"
).bindparams(bindparam("chunk", type_=BigInteger), bindparam("lexemes", type_=ARRAY(Text)))


# The bounds are written out: after five executions Postgres would plan for any bounds, and read the whole table.
_BEST: Final = """
    WITH wanted AS (
        SELECT * FROM unnest(:once, :twice, :often) WITH ORDINALITY AS wanted (once, twice, often, term)
    ), held AS MATERIALIZED (
        SELECT term, chunk_id, length FROM wanted CROSS JOIN LATERAL (
            SELECT chunk_id, length FROM chunk_terms WHERE terms @@ CAST(once AS tsquery) LIMIT {enough}
        ) AS found
    ), counted AS (
        SELECT term, count(*) AS number, sum(count(*)) OVER rarest AS together, row_number() OVER rarest AS place,
            min(count(*)) OVER () AS least, sum(length) AS lengths
        FROM held GROUP BY term WINDOW rarest AS (ORDER BY count(*), term)
    ), kept AS MATERIALIZED (
        SELECT term, ln(1 + (size.chunks - number + 0.5) / (number + 0.5)) AS rarity
        FROM counted, (
            SELECT CAST(greatest(sum(chunks), (SELECT max(number) FROM counted)) AS double precision) AS chunks
            FROM knowledge_files WHERE knowledge_id = ANY (:bases)
        ) AS size
        WHERE place = 1
            OR place <= {most_kept} AND together <= 2 * {enough} AND (number < {enough} OR least = {enough})
    ), repeated AS (
        SELECT term, times, chunk_id FROM kept JOIN wanted USING (term)
        CROSS JOIN LATERAL (VALUES (2, twice), (4, often)) AS asked (times, query)
        CROSS JOIN LATERAL (
            SELECT chunk_id FROM chunk_terms WHERE terms @@ CAST(query AS tsquery) LIMIT {enough}
        ) AS found
    ), counts AS (
        SELECT chunk_id, term, CAST(max(times) AS double precision) AS times, max(length) AS length FROM (
            SELECT chunk_id, term, 1 AS times, CAST(length AS double precision) FROM held
            WHERE term IN (SELECT term FROM kept)
            UNION ALL SELECT chunk_id, term, times, NULL FROM repeated
        ) AS either GROUP BY chunk_id, term
    )
    SELECT chunk_id, CAST(
        sum(rarity * times * 2.2 / (times + 1.2 * (0.25 + 0.75 * counts.length / mean.length))) AS double precision
    ) AS score
    FROM counts JOIN kept USING (term), (
        SELECT greatest(CAST(sum(lengths) / sum(number) AS double precision), 1) AS length FROM counted
    ) AS mean
    WHERE counts.length IS NOT NULL
    GROUP BY chunk_id ORDER BY score DESC, chunk_id LIMIT :row_limit
"""


@lru_cache(maxsize=8)
def _best(enough: int) -> TextClause:
    return text(_BEST.format(enough=enough, most_kept=MOST_KEPT)).bindparams(
        *(bindparam(name, type_=ARRAY(Text)) for name in ("once", "twice", "often", "bases")),
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
        scopes = [scope(one) for one in dict.fromkeys(knowledge_ids)]
        values = {
            name: [_holding(scopes, one + mark) for one in wanted]
            for name, mark in (("once", ""), ("twice", _TWICE), ("often", _OFTEN))
        }
        rows = await self._session.rows(
            _best(_enough_for(limit)), {**values, "row_limit": limit, "bases": [*knowledge_ids]}
        )
        return [Hit(ChunkId(chunk), score) for chunk, score in rows]

    async def aclose(self) -> None:
        """The connections are the transactions'."""


def _enough_for(limit: int) -> int:
    """Few different ones, for each is another statement."""
    enough = ENOUGH
    while limit > USUAL and enough < limit:
        enough *= 4
    return enough


def _holding(scopes: Sequence[str], one: str) -> str:
    # Lexemes hold no quotes: nothing in them can end a string, or be an operator.
    return " | ".join(f"'{base}{one}'" for base in scopes)


def _held(knowledge_id: str, found: Mapping[str, int]) -> list[str]:
    base = scope(knowledge_id)
    marked = ((one, mark) for one, count in found.items() for mark, least in _MARKS if count >= least)
    return [f"{base}{one}{mark}" for one, mark in marked]
