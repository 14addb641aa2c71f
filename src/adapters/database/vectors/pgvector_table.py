"""The vectors of chunks where the pgvector extension keeps them: a table that is made only where it was asked for."""

import struct
from collections.abc import Callable
from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    REAL,
    BigInteger,
    BindParameter,
    Column,
    ColumnElement,
    Dialect,
    Index,
    MetaData,
    NullPool,
    PrimaryKeyConstraint,
    Table,
    Text,
    cast,
    text,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.types import UserDefinedType

from adapters.database.engine import postgres_creator
from adapters.database.errors import FAILURES
from adapters.database.session import refuse
from domain.errors import Unavailable
from domain.knowledge.embeddings import EmbeddingModel, Vector

OLDEST_PGVECTOR: Final = (0, 8)
"""The first that goes on searching when the filter left too few."""

_LOCK: Final = 7_346_210_957_442
"""Of our own choosing: whoever holds this advisory lock of Postgres makes the table and its indexes."""

_MOST_AS_VECTOR: Final = 2000
_MOST_AS_HALFVEC: Final = 4000
"""So many dimensions pgvector can index: as floats of 4 bytes, as floats of 2."""

_ADVICE: Final = 'or set [vector] kind = "embedded".'


class PgVector(UserDefinedType[Vector]):
    """`vector` without a number of dimensions. It travels as an array of floats, which the driver knows in binary."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "vector"

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any]:  # noqa: ARG002
        return _to_floats

    def bind_expression(self, bindvalue: BindParameter[Vector]) -> ColumnElement[Vector]:
        return cast(cast(bindvalue, ARRAY(REAL)), PgVector())

    def column_expression(self, column: ColumnElement[Vector]) -> ColumnElement[Any]:
        return cast(column, _Floats())


class _Floats(UserDefinedType[Vector]):
    """What a column of PgVector is read as."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "real[]"

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any]:  # noqa: ARG002
        return _from_floats


metadata = MetaData()

chunk_embeddings = Table(
    "chunk_embeddings",
    metadata,
    Column("chunk_id", BigInteger, nullable=False),
    Column("model", Text, nullable=False),
    Column("knowledge_id", Text, nullable=False),
    Column("vector", PgVector, nullable=False),
    PrimaryKeyConstraint("chunk_id", "model", name="chunk_embeddings_pk"),
    Index("chunk_embeddings_by_base", "knowledge_id", "model"),
)

# The reference is written here, not in the table above: `chunks` is described with other tables, in another MetaData.
_CREATE: Final = (
    """
    CREATE TABLE IF NOT EXISTS chunk_embeddings (
        chunk_id BIGINT NOT NULL
            CONSTRAINT chunk_embeddings_chunk REFERENCES chunks (chunk_id) ON DELETE CASCADE,
        model TEXT NOT NULL,
        knowledge_id TEXT NOT NULL,
        vector vector NOT NULL,
        CONSTRAINT chunk_embeddings_pk PRIMARY KEY (chunk_id, model)
    )
    """,
    "CREATE INDEX IF NOT EXISTS chunk_embeddings_by_base ON chunk_embeddings (knowledge_id, model)",
)
_FOUND: Final = """
    SELECT (SELECT extversion FROM pg_extension WHERE extname = 'vector') AS version,
           to_regclass('chunk_embeddings_by_base') IS NOT NULL AS has_table,
           CAST(:index AS TEXT) IS NULL OR to_regclass(CAST(:index AS TEXT)) IS NOT NULL AS has_index
"""


def indexed_as(dimensions: int) -> str | None:
    """The type as which vectors are in the HNSW index; None where there is none, for they are too long."""
    if dimensions <= _MOST_AS_VECTOR:
        return f"vector({dimensions:d})"
    return f"halfvec({dimensions:d})" if dimensions <= _MOST_AS_HALFVEC else None


async def ensure_pgvector(url: str, model: EmbeddingModel | None) -> None:
    """Make the extension, the table and the index for vectors of the model's length, where they are missing.

    The schema must be there. Safe with several processes at once. Raises Unavailable `pgvector_missing`, which says
    what to do, or `database_unavailable`.
    """
    engine = create_async_engine("postgresql+asyncpg://", async_creator=postgres_creator(url), poolclass=NullPool)
    try:
        async with engine.begin() as connection:
            await _ensure(connection, None if model is None else model.dimensions)
    except FAILURES as error:
        refuse(error)
    finally:
        await engine.dispose()


async def _ensure(connection: AsyncConnection, dimensions: int | None) -> None:
    kind = dimensions and indexed_as(dimensions)
    index = f"chunk_embeddings_hnsw_{dimensions}" if kind else None
    if await _all_there(connection, index):
        return
    await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    await _create_extension(connection)
    await _all_there(connection, index)
    for statement in _CREATE:
        await connection.execute(text(statement))
    if kind and index:
        operators = f"{kind.partition('(')[0]}_ip_ops"
        await connection.execute(
            text(
                f"CREATE INDEX IF NOT EXISTS {index} ON chunk_embeddings "
                f"USING hnsw (CAST(vector AS {kind}) {operators}) WHERE vector_dims(vector) = {dimensions}"
            )
        )


async def _all_there(connection: AsyncConnection, index: str | None) -> bool:
    """Raises Unavailable for an extension that is too old: one that was there, or the machine's newest."""
    found = (await connection.execute(text(_FOUND), {"index": index})).one()
    if found.version is not None and _numbers(found.version) < OLDEST_PGVECTOR:
        raise Unavailable(
            "pgvector_missing",
            f"The database has pgvector {found.version}, 0.8 is needed: install it on the database's machine and run "
            f"`ALTER EXTENSION vector UPDATE` in this database, {_ADVICE}",
        )
    return bool(found.version and found.has_table and found.has_index)


async def _create_extension(connection: AsyncConnection) -> None:
    try:
        await connection.execute(text("CREATE EXTENSION IF NOT EXISTS vector"))
    except DBAPIError as error:
        state = getattr(error.driver_exception, "sqlstate", None)
        # Not supported, or no such file (older servers): it isn't installed. 42501: this role may not.
        if state in {"0A000", "58P01"}:
            reason = "pgvector is not installed on the database's machine: install it there"
        elif state == "42501":
            reason = "This role may not create extensions: let an administrator run `CREATE EXTENSION vector` here"
        else:
            raise
        raise Unavailable("pgvector_missing", f"{reason}, {_ADVICE}") from error


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())


def _to_floats(vector: Vector | None) -> tuple[float, ...] | None:
    return None if vector is None else struct.unpack(f"<{len(vector) // 4}f", vector)


def _from_floats(floats: list[float] | None) -> bytes | None:
    return None if floats is None else struct.pack(f"<{len(floats)}f", *floats)
