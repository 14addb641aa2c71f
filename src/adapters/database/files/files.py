"""Files: their owner's, and those of nobody, whose contents the upkeep removes."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import BigInteger, Text, and_, bindparam, cast, delete, false, func, or_, select, text, true, update
from sqlalchemy.dialects import postgresql, sqlite

from adapters.database.columns import Moment
from adapters.database.errors import account_gone
from adapters.database.owners import (
    LIMIT,
    OWNER,
    beside_owner,
    newest_first,
    owned_row,
    owned_rows,
    refuse_missing,
    window_values,
)
from adapters.database.session import Session
from adapters.database.tables import GONE_WITH_CONTENT, WITHOUT_CONTENT, files, users
from application.paging import Window
from domain.errors import NotFound
from domain.files.files import FileKind, StoredFile, Uploaded
from domain.ids import FileId, UserId

_IS: Final = files.c.file_id == bindparam("id", type_=Text)
_AMONG: Final = files.c.file_id.in_(bindparam("ids", type_=Text, expanding=True))
_MINE: Final = and_(files.c.user_id == OWNER, files.c.removed_at.is_(None))
_SHOWN: Final = select(*(column for column in files.c if column.name not in {"removed_at", "has_content"}))

_ADD: Final = {
    "sqlite": sqlite.insert(files).on_conflict_do_nothing(index_elements=[files.c.file_id]),
    "postgresql": postgresql.insert(files).on_conflict_do_nothing(index_elements=[files.c.file_id]),
}
_GET: Final = beside_owner(_SHOWN.where(_MINE, _IS).subquery())
_LIST: Final = newest_first(_SHOWN.where(_MINE), files, "file_id")
_THESE: Final = beside_owner(_SHOWN.where(_MINE, _AMONG).subquery())
_SIGNED: Final = _SHOWN.where(_IS, files.c.user_id.is_not(None), files.c.removed_at.is_(None))
_recent: Final = (
    select(func.count().label("number"), func.min(files.c.created_at).label("oldest"))
    .where(files.c.user_id == OWNER, files.c.created_at > bindparam("since", type_=Moment))
    .subquery("recent")
)
_KEPT: Final = select(cast(func.coalesce(func.sum(files.c.size), 0), BigInteger)).where(_MINE).scalar_subquery()
_UPLOADED: Final = (
    select(_KEPT, _recent.c.number, _recent.c.oldest)
    .select_from(users.join(_recent, true()))
    .where(users.c.user_id == OWNER)
)
_REMOVE: Final = update(files).where(_MINE, _IS).values(removed_at=bindparam("now", type_=Moment))

# As text, so that both databases see that the partial indexes serve.
_REMOVED: Final = (
    select(files.c.file_id)
    .where(text(GONE_WITH_CONTENT), files.c.file_id > bindparam("after", type_=Text))
    .order_by(files.c.file_id)
    .limit(LIMIT)
)
# Rows that somebody holds, such as a deletion of their owner, come again with the next round: nobody waits in a circle.
_emptied: Final = (
    select(files.c.file_id)
    .where(_AMONG, or_(files.c.user_id.is_(None), files.c.removed_at.is_not(None)))
    .with_for_update(skip_locked=True)
    .cte("emptied")
)
_EMPTY: Final = update(files).where(files.c.file_id.in_(select(_emptied.c.file_id))).values(has_content=false())
_forgotten: Final = (
    select(files.c.file_id)
    .where(text(WITHOUT_CONTENT), files.c.created_at < bindparam("before", type_=Moment))
    .order_by(files.c.created_at)
    .limit(LIMIT)
    .with_for_update(skip_locked=True)
    .cte("forgotten")
)
# Counted by what it returns: Python's SQLite driver counts no rows of a statement that begins with WITH.
_FORGET: Final = delete(files).where(files.c.file_id.in_(select(_forgotten.c.file_id))).returning(files.c.file_id)
_KNOWN: Final = select(files.c.file_id).where(_AMONG)


class FileRows:
    __slots__ = ("_dialect", "_session")

    def __init__(self, session: Session, dialect: str) -> None:
        self._session = session
        self._dialect = dialect

    async def add(self, file: StoredFile) -> None:
        await self._session.written(_ADD[self._dialect], _from_file(file))

    async def get(self, file_id: FileId, *, owner: UserId) -> StoredFile:
        return _to_file(await owned_row(self._session, _GET, {"owner": owner, "id": file_id}, "file", file_id))

    async def list(self, window: Window, *, owner: UserId) -> Sequence[StoredFile]:
        return [_to_file(row) for row in await owned_rows(self._session, _LIST, window_values(window, owner))]

    async def these(self, file_ids: Sequence[FileId], *, owner: UserId) -> Sequence[StoredFile]:
        rows = await owned_rows(self._session, _THESE, {"owner": owner, "ids": [*file_ids]})
        return [_to_file(row) for row in rows]

    async def signed(self, file_id: FileId) -> StoredFile:
        rows = await self._session.rows(_SIGNED, {"id": file_id})
        if not rows:
            raise NotFound("file", file_id)
        return _to_file(rows[0])

    async def uploaded(self, since: datetime, *, owner: UserId) -> Uploaded:
        rows = await self._session.rows(_UPLOADED, {"owner": owner, "since": since})
        if not rows:
            raise account_gone()
        return Uploaded(*rows[0])

    async def remove(self, file_id: FileId, now: datetime, *, owner: UserId) -> None:
        if not await self._session.affected(_REMOVE, {"owner": owner, "id": file_id, "now": now}):
            await refuse_missing(self._session, owner, "file", file_id)

    async def removed(self, limit: int, after: FileId | None = None) -> Sequence[FileId]:
        rows = await self._session.rows(_REMOVED, {"row_limit": limit, "after": after or ""})
        return [row[0] for row in rows]

    async def emptied(self, file_ids: Sequence[FileId]) -> None:
        if file_ids:
            await self._session.written(_EMPTY, {"ids": [*file_ids]})

    async def forget(self, created_before: datetime, limit: int) -> int:
        return len(await self._session.written(_FORGET, {"before": created_before, "row_limit": limit}))

    async def known(self, file_ids: Sequence[FileId]) -> frozenset[FileId]:
        rows = await self._session.rows(_KNOWN, {"ids": [*file_ids]}) if file_ids else ()
        return frozenset(row[0] for row in rows)


def _to_file(row: Any) -> StoredFile:
    file_id, user_id, name, kind, size, sha256, created_at = row
    return StoredFile(file_id, user_id, name, FileKind(kind), size, sha256, created_at)


def _from_file(file: StoredFile) -> dict[str, Any]:
    return {
        "file_id": file.file_id,
        "user_id": file.user_id,
        "name": file.name,
        "kind": file.kind.value,
        "size": file.size,
        "sha256": file.sha256,
        "created_at": file.created_at,
        "has_content": True,
    }
