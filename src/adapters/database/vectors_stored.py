"""Reading the stored vectors of a base into memory, while the event loop goes on."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NamedTuple

from sqlalchemy import BigInteger, Engine, Text, bindparam, func, select
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.util import greenlet_spawn

from adapters.database.chunk_tables import chunk_vectors
from adapters.database.engine import Gate, Runner, is_postgres, open_database, sqlite_engine, sqlite_file
from adapters.database.errors import FAILURES
from adapters.database.knowledge_tables import knowledge_bases
from adapters.database.session import Attempts, Lane, SingleStatements, refuse
from adapters.database.vectors_matrix import Matrix, Rows, empty
from domain.ids import KnowledgeId

PATIENCE_SECONDS: Final = 30.0
_SINGLES: Final = 4
_LOADS: Final = 2
"""At once: so many connections for questions, so many for loading."""

_PORTION: Final = 1000

_BASE: Final = bindparam("knowledge_id", type_=Text)
_OF_BASE: Final = (chunk_vectors.c.knowledge_id == _BASE, chunk_vectors.c.model == bindparam("model", type_=Text))
_counters: Final = select(knowledge_bases.c.knowledge_id, knowledge_bases.c.grown, knowledge_bases.c.shrunk)
_STAMPS: Final = _counters.where(
    knowledge_bases.c.knowledge_id.in_(bindparam("knowledge_ids", type_=Text, expanding=True))
)
_STAMP: Final = _counters.where(knowledge_bases.c.knowledge_id == _BASE)
_COUNT: Final = select(func.count()).select_from(chunk_vectors).where(*_OF_BASE)
_ROWS: Final = (
    select(chunk_vectors.c.chunk_id, chunk_vectors.c.vector)
    .where(*_OF_BASE, chunk_vectors.c.chunk_id > bindparam("after", type_=BigInteger))
    .order_by(chunk_vectors.c.chunk_id)
    .execution_options(stream_results=True, yield_per=_PORTION)
)
_PING: Final = select(1)


class Stamp(NamedTuple):
    """How often a base has grown and shrunk. Neither is ever less than it was."""

    grown: int
    shrunk: int

    def covers(self, other: "Stamp") -> bool:
        return self.grown >= other.grown and self.shrunk >= other.shrunk


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was stored at the moment of the stamp."""

    stamp: Stamp
    matrix: Matrix


class StoredVectors:
    """`chunk_vectors` of either dialect, by connections of its own. Close it with `aclose`.

    Loading goes on in a thread with SQLite, where statements run on the event loop otherwise, and with Postgres in
    portions on the loop.
    """

    def __init__(self, url: str) -> None:
        self._database = open_database(url, pool_size=_SINGLES + _LOADS)
        reader = self._database.reader
        lane = Lane(reader, Gate(min(self._database.readers, _SINGLES), PATIENCE_SECONDS))
        self._session = SingleStatements(lane, lane, self._database.run)
        if is_postgres(url):
            self._loader: Lane = Lane(reader, Gate(_LOADS, PATIENCE_SECONDS))
            self._run: Runner = greenlet_spawn
        else:
            self._loader = Lane(sqlite_engine(sqlite_file(url), autocommit=True), Gate(1, PATIENCE_SECONDS))
            self._run = asyncio.to_thread

    async def stamps(self, knowledge_ids: Sequence[KnowledgeId]) -> Mapping[KnowledgeId, Stamp]:
        """Those of the bases that are there, in one statement."""
        rows = await self._session.rows(_STAMPS, {"knowledge_ids": [*knowledge_ids]})
        return {knowledge_id: Stamp(grown, shrunk) for knowledge_id, grown, shrunk in rows}

    async def load(self, knowledge_id: KnowledgeId, model: str, dimensions: int, known: Loaded | None) -> Loaded | None:
        """All vectors of a base, of which some may be known already; None when the base is gone."""
        work = partial(_load, self._loader.engine, knowledge_id, model, dimensions, known)
        attempts: Attempts | None = None
        await self._loader.gate.enter()
        try:
            while True:
                try:
                    return await self._run(work)
                except DBAPIError as error:
                    attempts = attempts or Attempts()
                    if not await attempts.again(error):
                        raise
        except FAILURES as error:
            refuse(error)
        finally:
            self._loader.gate.leave()

    async def ping(self) -> None:
        await self._session.rows(_PING, {})

    async def aclose(self) -> None:
        await self._database.aclose()
        await self._run(self._loader.engine.dispose)


def _load(engine: Engine, knowledge_id: str, model: str, dimensions: int, known: Loaded | None) -> Loaded | None:
    """In one transaction, which sees one moment: so counters, number and rows agree."""
    values = {"knowledge_id": knowledge_id, "model": model}
    with _moment(engine) as connection:
        row = connection.execute(_STAMP, values).one_or_none()
        if row is None:
            return None
        stamp = Stamp(row.grown, row.shrunk)
        if known is not None and known.stamp.shrunk == stamp.shrunk:
            matrix = known.matrix.with_more(_portions(connection, values, known.matrix.last))
            # Of several writers one may commit smaller ids after another's larger ones: those were passed over here.
            if matrix.seen == connection.execute(_COUNT, values).scalar_one():
                return Loaded(stamp, matrix)
        return Loaded(stamp, empty(dimensions).with_more(_portions(connection, values, 0)))


@contextmanager
def _moment(engine: Engine) -> Iterator[Connection]:
    """A connection in a transaction that reads alone."""
    with engine.connect() as connection:
        if engine.dialect.name != "sqlite":
            connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            yield connection
            return
        connection.exec_driver_sql("BEGIN")
        try:
            yield connection
        finally:
            connection.exec_driver_sql("ROLLBACK")


def _portions(connection: Connection, values: Mapping[str, Any], after: int) -> Iterator[Rows]:
    result: Any = connection.execute(_ROWS, {**values, "after": after})
    yield from result.partitions()
