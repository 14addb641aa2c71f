"""Reading the stored vectors of a base into memory, portion after portion, while the event loop goes on."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from sqlalchemy import BigInteger, Integer, Select, Text, bindparam, cast, func, select
from sqlalchemy.util import greenlet_spawn

from adapters.database.engine import Gate, is_postgres, open_database, sqlite_engine, sqlite_file
from adapters.database.knowledge.chunk_tables import chunk_vectors
from adapters.database.knowledge.knowledge_tables import knowledge_bases
from adapters.database.session import Lane, SingleStatements
from adapters.database.vectors.vectors_matrix import Rows
from domain.ids import KnowledgeId

PATIENCE_SECONDS: Final = 30.0
_SINGLES: Final = 4
_LOADS: Final = 2
"""At once: so many connections for questions, so many for loading."""

PORTION: Final = 1000
"""Vectors of one statement."""
IDS_PORTION: Final = 50_000
_NAMED: Final = 500

_OF_BASE: Final = (
    chunk_vectors.c.knowledge_id == bindparam("knowledge_id", type_=Text),
    chunk_vectors.c.model == bindparam("model", type_=Text),
)
_LIMIT: Final = bindparam("row_limit", type_=Integer)


def _behind(*columns: object) -> Select[tuple[object, ...]]:
    after = bindparam("after", type_=BigInteger)
    wanted: Select[tuple[object, ...]] = select(*columns)  # type: ignore[call-overload]
    return wanted.where(*_OF_BASE, chunk_vectors.c.chunk_id > after).order_by(chunk_vectors.c.chunk_id).limit(_LIMIT)


_STAMPS: Final = select(knowledge_bases.c.knowledge_id, knowledge_bases.c.grown, knowledge_bases.c.shrunk).where(
    knowledge_bases.c.knowledge_id.in_(bindparam("knowledge_ids", type_=Text, expanding=True))
)
_COUNT: Final = select(func.count()).select_from(chunk_vectors).where(*_OF_BASE)
_no_more: Final = select(chunk_vectors.c.chunk_id).where(*_OF_BASE).limit(_LIMIT).subquery()
_COUNT_UP_TO: Final = select(func.count()).select_from(_no_more)
_VECTORS: Final = _behind(chunk_vectors.c.chunk_id, chunk_vectors.c.vector)
_THESE: Final = select(chunk_vectors.c.chunk_id, chunk_vectors.c.vector).where(
    *_OF_BASE, chunk_vectors.c.chunk_id.in_(bindparam("ids", type_=BigInteger, expanding=True))
)
# Written into one text by the database: as rows they would take ten times as long, and the interpreter's lock with it.
_some: Final = _behind(chunk_vectors.c.chunk_id).subquery()
_IDS: Final = select(func.aggregate_strings(cast(_some.c.chunk_id, Text), ","))
_PING: Final = select(1)


class Key(NamedTuple):
    """Which vectors: those of a base that a model made."""

    knowledge_id: KnowledgeId
    model: str
    dimensions: int


class Stamp(NamedTuple):
    """How often a base has grown and shrunk. Neither is ever less than it was."""

    grown: int
    shrunk: int

    def covers(self, other: "Stamp") -> bool:
        return self.grown >= other.grown and self.shrunk >= other.shrunk


class StoredVectors:
    """`chunk_vectors` of either dialect, by connections of its own. Close it with `aclose`.

    Whoever loads waits for the turn before each portion: so a small base is loaded beside a large one. With SQLite
    portions are read in a thread, for statements run on the event loop otherwise.
    """

    def __init__(self, url: str) -> None:
        self._database = open_database(url, pool_size=_SINGLES + _LOADS)
        reader = self._database.reader
        lane = Lane(reader, Gate(min(self._database.readers, _SINGLES), PATIENCE_SECONDS))
        self._session = SingleStatements(lane, lane, self._database.run)
        if is_postgres(url):
            loader = Lane(reader, Gate(_LOADS, PATIENCE_SECONDS))
            self._loading = SingleStatements(loader, loader, greenlet_spawn)
        else:
            loader = Lane(sqlite_engine(sqlite_file(url), autocommit=True), Gate(1, PATIENCE_SECONDS))
            self._loading = SingleStatements(loader, loader, asyncio.to_thread)
        self._loader = loader.engine

    async def stamps(self, knowledge_ids: Sequence[KnowledgeId]) -> Mapping[KnowledgeId, Stamp]:
        """Those of the bases that are there, in one statement."""
        rows = await self._session.rows(_STAMPS, {"knowledge_ids": [*knowledge_ids]})
        return {knowledge_id: Stamp(grown, shrunk) for knowledge_id, grown, shrunk in rows}

    async def count(self, key: Key, most: int | None = None) -> int:
        """No further than to `most`."""
        values = _of(key) if most is None else {**_of(key), "row_limit": most}
        rows = await self._loading.rows(_COUNT if most is None else _COUNT_UP_TO, values)
        return int(rows[0][0])

    async def ids(self, key: Key, after: int) -> str:
        """The next IDS_PORTION ids behind `after`, with commas between, in any order."""
        rows = await self._loading.rows(_IDS, {**_of(key), "after": after, "row_limit": IDS_PORTION})
        return rows[0][0] or ""

    async def vectors(self, key: Key, after: int) -> Rows:
        """The next PORTION vectors behind `after`, in the order of their ids."""
        return await self._loading.rows(_VECTORS, {**_of(key), "after": after, "row_limit": PORTION})

    async def these(self, key: Key, ids: Sequence[int]) -> Rows:
        """Those that are there, in any order."""
        found: list[tuple[int, bytes]] = []
        for first in range(0, len(ids), _NAMED):
            found += await self._loading.rows(_THESE, {**_of(key), "ids": ids[first : first + _NAMED]})
        return found

    async def ping(self) -> None:
        await self._session.rows(_PING, {})

    async def aclose(self) -> None:
        await self._database.aclose()
        await self._database.run(self._loader.dispose)


def _of(key: Key) -> dict[str, object]:
    return {"knowledge_id": key.knowledge_id, "model": key.model}
