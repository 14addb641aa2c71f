"""Chunks of files in bases, with their terms and vectors: they come and go together."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final

import msgspec
from sqlalchemy import Connection

from adapters.database.knowledge import chunk_statements as said
from adapters.database.knowledge.chunk_statements import VectorStatements
from adapters.database.knowledge.knowledge_bases import HOLD_BASE
from adapters.database.lexical.lexemes import lexemes
from adapters.database.lexical.lexical_on_postgres import add_terms as add_terms_on_postgres
from adapters.database.lexical.lexical_on_sqlite import add_terms as add_terms_on_sqlite
from adapters.database.owners import owned_rows
from adapters.database.session import Session, Values
from application.ports.knowledge import ChunkToEmbed, NewChunk
from domain.ids import ChunkId, KnowledgeFileId, KnowledgeId, UserId
from domain.knowledge.embeddings import Vector
from domain.knowledge.knowledge import KnowledgeFile
from domain.knowledge.retrieval import FoundChunk

_ADD_TERMS: Final = {"sqlite": add_terms_on_sqlite, "postgresql": add_terms_on_postgres}
LOOKED_THROUGH: Final = 5000
"""Chunks that are looked at together for those that lack a vector."""
_titles: Final = msgspec.json.Decoder(tuple[str, ...]).decode


class ChunkRows:
    __slots__ = ("_dialect", "_session", "_vectors")

    def __init__(self, session: Session, dialect: str, vectors: VectorStatements) -> None:
        self._session = session
        self._dialect = dialect
        self._vectors = vectors

    async def add(self, file: KnowledgeFile, chunks: Sequence[NewChunk], model: str | None, now: datetime) -> bool:
        # On SQLite the statement holds the event loop: what can be made before it is made in a thread.
        counted = await asyncio.to_thread(_counted, chunks) if chunks else {}
        return await self._session.together(partial(self._add, file, chunks, counted, model, now))

    async def remove_of_file(self, knowledge_file_id: KnowledgeFileId, limit: int) -> int:
        values = {"file": knowledge_file_id, "row_limit": limit}
        return await self._session.together(partial(_remove_of_file, values))

    async def remove_of_base(self, knowledge_id: KnowledgeId, limit: int) -> int:
        values = {"id": knowledge_id, "row_limit": limit}
        return await self._session.together(partial(_remove_of_base, values))

    async def without_vector(
        self, knowledge_id: KnowledgeId, model: str, limit: int, after: ChunkId | None = None
    ) -> Sequence[ChunkToEmbed]:
        """Window by window, for there may be none among very many: others go on between two of them."""
        values = {"id": knowledge_id, "of_model": model, "after": after or 0, "window": LOOKED_THROUGH}
        found: list[ChunkToEmbed] = []
        while len(found) < limit:
            [(until,)] = await self._session.rows(said.END_OF_WINDOW, values)
            if until is None:
                break
            values |= {"until": until, "row_limit": limit - len(found)}
            rows = await self._session.rows(self._vectors.lacking, values)
            found += (ChunkToEmbed(number, content, _titles(titles), name) for number, content, titles, name in rows)
            values["after"] = until
            await asyncio.sleep(0)
        return found

    async def add_vectors(
        self, knowledge_id: KnowledgeId, model: str, vectors: Sequence[tuple[ChunkId, Vector]]
    ) -> None:
        if vectors:
            await self._session.together(partial(self._add_vectors, knowledge_id, model, dict(vectors)))

    async def remove_vectors(self, knowledge_id: KnowledgeId, *, but: str, limit: int) -> int:
        values = {"id": knowledge_id, "of_model": but, "row_limit": limit}
        return await self._session.together(partial(self._remove_vectors, values))

    async def hidden(self, knowledge_ids: Sequence[KnowledgeId], limit: int) -> Collection[ChunkId]:
        rows = await self._session.rows(said.HIDDEN, {"bases": [*knowledge_ids], "row_limit": limit})
        return {row[0] for row in rows}

    async def shown(self, chunk_ids: Sequence[ChunkId], *, owner: UserId) -> Sequence[FoundChunk]:
        rows = await owned_rows(self._session, said.SHOWN, {"owner": owner, "ids": [*chunk_ids]})
        return [FoundChunk(*row) for row in rows]

    def _add(
        self,
        file: KnowledgeFile,
        new: Sequence[NewChunk],
        counted: Mapping[int, Mapping[str, int]],
        model: str | None,
        now: datetime,
        connection: Connection,
    ) -> bool:
        this = {"id": file.knowledge_id, "file": file.knowledge_file_id}
        held = {**this, "begun": file.generation, "cut_by": file.plan}
        for hold in (HOLD_BASE, said.HOLD_FILE):
            if not connection.execute(hold, held).fetchall():
                return False
        ids = self._add_chunks(connection, this, new)
        if ids:
            added = {chunk.ordinal: chunk for chunk in new if chunk.ordinal in ids}
            vectors = {ids[one.ordinal]: one.vector for one in added.values() if one.vector is not None}
            if model is not None:
                self._store(connection, file.knowledge_id, model, vectors)
            terms = {ids[ordinal]: counted[ordinal] for ordinal in added}
            _ADD_TERMS[self._dialect](connection, file.knowledge_id, terms)
            connection.execute(said.GROW, this)
            made_by = model if len(vectors) == len(added) else None
            connection.execute(self._vectors.mark_incomplete, {**this, "of_model": made_by})
        connection.execute(said.ADVANCE, {**this, "new_stage": file.stage.value, "now": now})
        return True

    def _add_chunks(self, connection: Connection, this: Values, new: Sequence[NewChunk]) -> dict[int, ChunkId]:
        """The ids of those that were not there, by their ordinals."""
        ordinals = {chunk.ordinal: chunk for chunk in new}
        if not ordinals:
            return {}
        span = {**this, "first": min(ordinals), "last": max(ordinals)}
        stored = {row[0] for row in connection.execute(said.ORDINALS, span)}
        rows = [_row(this, chunk) for ordinal, chunk in ordinals.items() if ordinal not in stored]
        if not rows:
            return {}
        return {ordinal: chunk_id for chunk_id, ordinal in connection.execute(said.ADD[self._dialect], rows)}

    def _add_vectors(
        self, knowledge_id: str, model: str, vectors: dict[ChunkId, Vector], connection: Connection
    ) -> None:
        this = {"id": knowledge_id}
        if not connection.execute(HOLD_BASE, this).fetchall():
            return
        found = connection.execute(said.STILL_THERE, {**this, "ids": [*vectors]})
        there = {row[0]: vectors[row[0]] for row in found}
        self._store(connection, knowledge_id, model, there)
        connection.execute(said.GROW, this)

    def _store(self, connection: Connection, knowledge_id: str, model: str, vectors: dict[ChunkId, Vector]) -> None:
        if vectors:
            rows = [
                {"chunk_id": chunk_id, "model": model, "knowledge_id": knowledge_id, "vector": vector}
                for chunk_id, vector in vectors.items()
            ]
            connection.execute(self._vectors.add[self._dialect], rows)

    def _remove_vectors(self, values: Values, connection: Connection) -> int:
        if not connection.execute(said.HOLD_IF_SEARCHED, values).fetchall():
            return 0
        # Nobody searches by them any more: the matrix of those that are searched stays in memory.
        return connection.execute(self._vectors.remove, values).rowcount


def _counted(new: Sequence[NewChunk]) -> dict[int, Mapping[str, int]]:
    return {chunk.ordinal: lexemes(chunk.terms) for chunk in new}


def _remove_of_file(values: Values, connection: Connection) -> int:
    # It holds the base, so that of two at once each sees what the other left.
    if not connection.execute(said.SHRINK_BASE_OF_FILE, values).rowcount:
        return 0
    removed = connection.execute(said.REMOVE_OF_FILE, values).rowcount
    connection.execute(said.COUNT_OF_FILE, values)
    return removed


def _remove_of_base(values: Values, connection: Connection) -> int:
    if not connection.execute(said.SHRINK_BASE, values).rowcount:
        return 0
    return connection.execute(said.REMOVE_OF_BASE, values).rowcount


def _row(this: Values, chunk: NewChunk) -> dict[str, Any]:
    return {
        "knowledge_file_id": this["file"],
        "knowledge_id": this["id"],
        "ordinal": chunk.ordinal,
        "content": chunk.content,
        "page": chunk.page,
        "begins": chunk.start,
        "ends": chunk.end,
        "headings": msgspec.json.encode(chunk.headings).decode(),
    }
