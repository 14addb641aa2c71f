"""Files in bases: their owner's, those at work, and those that are gone until their chunks have gone too."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import Connection

from adapters.database.errors import account_gone
from adapters.database.knowledge import knowledge_file_statements as said
from adapters.database.owners import owned_row, refuse_missing, window_values
from adapters.database.session import Session
from application.paging import Window
from domain.errors import Conflict, NotFound
from domain.files.files import FileKind
from domain.ids import KnowledgeFileId, KnowledgeId, UserId
from domain.knowledge.knowledge import MOST_FILES, IngestionError, IngestionStatus, KnowledgeFile, Stage


class KnowledgeFileRows:
    __slots__ = ("_dialect", "_session")

    def __init__(self, session: Session, dialect: str) -> None:
        self._session = session
        self._dialect = dialect

    async def add(self, file: KnowledgeFile) -> KnowledgeFile:
        values = {"id": file.knowledge_id, "owner": file.user_id, "upload": file.file_id}
        row = await self._session.together(partial(_add, self._dialect, values, _from_file(file)))
        if row is None:
            await refuse_missing(self._session, file.user_id, "knowledge", file.knowledge_id)
        return _to_file(row)

    async def get(self, knowledge_file_id: KnowledgeFileId, *, owner: UserId) -> KnowledgeFile:
        values = {"owner": owner, "file": knowledge_file_id}
        return _to_file(await owned_row(self._session, said.GET, values, "knowledge_file", knowledge_file_id))

    async def list(self, knowledge_id: KnowledgeId, window: Window, *, owner: UserId) -> Sequence[KnowledgeFile]:
        rows = await self._session.rows(said.LIST, {**window_values(window, owner), "id": knowledge_id})
        if not rows:
            raise account_gone()
        if rows[0][0] is None:
            raise NotFound("knowledge", knowledge_id)
        return [_to_file(row[1:]) for row in rows if row[1] is not None]

    async def remove(self, knowledge_file_id: KnowledgeFileId, now: datetime, *, owner: UserId) -> None:
        values = {"owner": owner, "file": knowledge_file_id, "now": now}
        if not await self._session.affected(said.REMOVE, values):
            await refuse_missing(self._session, owner, "knowledge_file", knowledge_file_id)

    async def retry(self, knowledge_file_id: KnowledgeFileId, now: datetime, *, owner: UserId) -> KnowledgeFile:
        values = {"owner": owner, "file": knowledge_file_id, "now": now}
        rows = await self._session.written(said.RETRY, values)
        if rows:
            return _to_file(rows[0])
        await self.get(knowledge_file_id, owner=owner)
        raise Conflict("knowledge_file_at_work", "The work on this file goes on: begin it anew when it has ended.")

    async def unfinished(self, *, owner: UserId) -> int:
        rows = await self._session.rows(said.UNFINISHED, {"owner": owner})
        if not rows:
            raise account_gone()
        return int(rows[0][0])

    async def beside(self, file: KnowledgeFile) -> tuple[int, int]:
        values = {"owner": file.user_id, "file": file.knowledge_file_id, "created": file.created_at}
        [row] = await self._session.rows(said.BESIDE, values)
        return int(row[0]), int(row[1])

    async def at_work(self, knowledge_file_id: KnowledgeFileId) -> KnowledgeFile | None:
        statement = said.FIND_AT_WORK if self._session.alone else said.HOLD_AT_WORK
        rows = await self._session.rows(statement, {"file": knowledge_file_id})
        return _to_file(rows[0]) if rows else None

    async def record(self, file: KnowledgeFile) -> bool:
        stored = _from_file(file)
        values = {f"new_{name}": stored[name] for name in said.CHANGEABLE}
        values |= {"file": file.knowledge_file_id, "begun": file.generation}
        return bool(await self._session.affected(said.RECORD, values))

    async def waiting(self, untouched_since: datetime, limit: int) -> Sequence[KnowledgeFile]:
        rows = await self._session.rows(said.WAITING, {"before": untouched_since, "row_limit": limit})
        return [_to_file(row) for row in rows]

    async def touch(self, knowledge_file_ids: Sequence[KnowledgeFileId], now: datetime) -> None:
        if knowledge_file_ids:
            await self._session.affected(said.TOUCH, {"ids": [*knowledge_file_ids], "now": now})

    async def removed(self, limit: int) -> Sequence[KnowledgeFileId]:
        return [row[0] for row in await self._session.rows(said.REMOVED, {"row_limit": limit})]

    async def forget(self, knowledge_file_id: KnowledgeFileId) -> bool:
        return bool(await self._session.affected(said.FORGET, {"file": knowledge_file_id}))


def _add(dialect: str, base: dict[str, Any], file: dict[str, Any], connection: Connection) -> Any:
    """Whoever adds to a base takes it first: so many at once see and count each other's files."""
    if not connection.execute(said.HOLD_BASE_OF_MINE, base).fetchall():
        return None
    if known := connection.execute(said.OF_UPLOAD, base).first():
        return known
    if connection.execute(said.NUMBER, base).scalar_one() >= MOST_FILES:
        raise Conflict("knowledge_full", f"A knowledge base holds at most {MOST_FILES:,} files: make another.")
    connection.execute(said.ADD[dialect], file)
    return connection.execute(said.OF_UPLOAD, base).first()


def _to_file(row: Any) -> KnowledgeFile:
    *fields, status, stage, chunk_count, total, plan, attempts, generation, turn, replanned, furthest, code, message = (
        row
    )
    file_id, base, user, content, name, kind, size, created_at, updated_at = fields
    return KnowledgeFile(
        file_id,
        base,
        user,
        content,
        name,
        FileKind(kind),
        size,
        created_at,
        updated_at,
        IngestionStatus(status),
        Stage(stage),
        chunk_count,
        total,
        plan,
        attempts,
        generation,
        turn,
        replanned,
        None if code is None else IngestionError(code, message),
        furthest,
    )


def _from_file(file: KnowledgeFile) -> dict[str, Any]:
    error = file.error
    fields = {name: getattr(file, name) for name in said.NAMES if not name.startswith("error_")}
    return fields | {
        "kind": file.kind.value,
        "status": file.status.value,
        "stage": file.stage.value,
        "error_code": None if error is None else error.code,
        "error_message": None if error is None else error.message,
        "removed_at": None,
    }
