"""Files in bases: their owner's, those at work, and those that are gone until their chunks have gone too."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Connection,
    Integer,
    Text,
    and_,
    bindparam,
    case,
    cast,
    delete,
    exists,
    func,
    null,
    or_,
    select,
    text,
    true,
    tuple_,
    union,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from adapters.database.chunk_tables import chunks
from adapters.database.columns import Moment
from adapters.database.errors import account_gone
from adapters.database.knowledge_bases import BASE_IS, BASE_IS_MINE, BASE_IS_THERE, NOW
from adapters.database.knowledge_tables import LIVE_FILE, knowledge_bases, knowledge_files
from adapters.database.owners import LIMIT, OWNER, beside_owner, owned_row, refuse_missing, window_values
from adapters.database.session import Session
from adapters.database.tables import users
from application.paging import Window
from domain.errors import Conflict, NotFound
from domain.files import FileKind
from domain.ids import KnowledgeFileId, KnowledgeId, UserId
from domain.knowledge import (
    MOST_FILES,
    PARTS_BEFORE,
    PARTS_READ,
    WHOLE,
    IngestionError,
    IngestionStatus,
    KnowledgeFile,
    Stage,
)

_files: Final = knowledge_files
_NAMES: Final = [column.name for column in _files.c if column.name != "removed_at"]
_SHOWN: Final = select(*(_files.c[name] for name in _NAMES))
_AND_BASE: Final = _files.c.knowledge_id == knowledge_bases.c.knowledge_id
FILE_IS: Final = _files.c.knowledge_file_id == bindparam("file", type_=Text)
# As text, so that both databases see that the partial indexes serve.
_IN_PROCESS: Final = text(LIVE_FILE.replace("removed_at", "knowledge_files.removed_at"))
_MINE: Final = and_(_AND_BASE, BASE_IS_MINE, _files.c.removed_at.is_(None))
AT_WORK: Final = and_(_AND_BASE, BASE_IS_THERE, _IN_PROCESS)
_IN_A_BASE_OF_MINE: Final = and_(_files.c.removed_at.is_(None), exists().where(_AND_BASE, BASE_IS_MINE))
_IN_A_BASE: Final = and_(_IN_PROCESS, exists().where(_AND_BASE, BASE_IS_THERE))

_BASE: Final = select(knowledge_bases.c.knowledge_id).where(BASE_IS_MINE, BASE_IS).with_for_update()
_NUMBER: Final = select(func.count()).where(
    _files.c.knowledge_id == bindparam("id", type_=Text), _files.c.removed_at.is_(None)
)
_ADD: Final = {
    "sqlite": sqlite.insert(_files).on_conflict_do_nothing(index_elements=[_files.c.knowledge_file_id]),
    "postgresql": postgresql.insert(_files).on_conflict_do_nothing(index_elements=[_files.c.knowledge_file_id]),
}
_OF_UPLOAD: Final = _SHOWN.where(
    _files.c.knowledge_id == bindparam("id", type_=Text),
    _files.c.file_id == bindparam("upload", type_=Text),
    _files.c.removed_at.is_(None),
)
_GET: Final = beside_owner(_SHOWN.where(_MINE, FILE_IS).subquery())
_position: Final = tuple_(_files.c.created_at, _files.c.knowledge_file_id)
_page: Final = (
    _SHOWN.where(
        _files.c.knowledge_id == bindparam("id", type_=Text),
        _files.c.removed_at.is_(None),
        _position < tuple_(bindparam("before", type_=Moment), bindparam("before_id", type_=Text)),
    )
    .order_by(_files.c.created_at.desc(), _files.c.knowledge_file_id.desc())
    .limit(LIMIT)
    .subquery("page")
)
_LIST: Final = (
    select(knowledge_bases.c.knowledge_id.label("base"), *_page.c)
    .select_from(users.outerjoin(knowledge_bases, and_(BASE_IS_MINE, BASE_IS)).outerjoin(_page, true()))
    .where(users.c.user_id == OWNER)
    .order_by(_page.c.created_at.desc(), _page.c.knowledge_file_id.desc())
)
_REMOVE: Final = update(_files).where(FILE_IS, _IN_A_BASE_OF_MINE).values(removed_at=NOW)
_RETRY: Final = (
    update(_files)
    .where(FILE_IS, _IN_A_BASE_OF_MINE, _files.c.status != IngestionStatus.PROCESS.value)
    .values(
        status=IngestionStatus.PROCESS.value,
        stage=Stage.QUEUED.value,
        attempts=0,
        error_code=null(),
        error_message=null(),
        generation=_files.c.generation + 1,
        furthest=0,
        updated_at=NOW,
    )
    .returning(*(_files.c[name] for name in _NAMES))
)
_UNFINISHED: Final = select(select(func.count()).where(AT_WORK, _files.c.user_id == OWNER).scalar_subquery()).where(
    users.c.user_id == OWNER
)
_others: Final = select(func.count()).where(
    AT_WORK, _files.c.user_id == OWNER, _files.c.knowledge_file_id != bindparam("file", type_=Text)
)
_BESIDE: Final = select(
    _others.where(_files.c.stage == Stage.QUEUED.value).scalar_subquery(),
    _others.where(
        tuple_(_files.c.created_at, _files.c.knowledge_file_id)
        < tuple_(bindparam("created", type_=Moment), bindparam("file", type_=Text))
    ).scalar_subquery(),
)
_AT_WORK: Final = _SHOWN.where(AT_WORK, FILE_IS)
_reached: Final = case(
    *((_files.c.stage == stage.value, parts) for stage, parts in PARTS_BEFORE.items()),
    (
        and_(_files.c.stage == Stage.EMBED.value, _files.c.total > 0),
        PARTS_READ + (WHOLE - PARTS_READ) * cast(_files.c.chunks, BigInteger) // _files.c.total,
    ),
    else_=PARTS_READ,
)
# What was shown before the change, whoever changes it, and whatever that one knows.
FURTHEST: Final = case((_files.c.furthest > _reached, _files.c.furthest), else_=_reached)
_CHANGEABLE: Final = (
    "status",
    "stage",
    "total",
    "plan",
    "attempts",
    "error_code",
    "error_message",
    "updated_at",
)
_RECORD: Final = (
    update(_files)
    .where(FILE_IS, _IN_A_BASE, _files.c.generation == bindparam("begun", type_=Integer))
    .values({name: bindparam(f"new_{name}", type_=_files.c[name].type) for name in _CHANGEABLE})
    .values(furthest=FURTHEST)
)
_WAITING: Final = (
    _SHOWN.where(AT_WORK, _files.c.updated_at < bindparam("before", type_=Moment))
    .order_by(_files.c.updated_at)
    .limit(LIMIT)
)
_TOUCH: Final = (
    update(_files)
    .where(_files.c.knowledge_file_id.in_(bindparam("ids", type_=Text, expanding=True)), _IN_PROCESS)
    .values(updated_at=NOW)
)
_gone: Final = select(_files.c.knowledge_file_id)
_BASE_IS_GONE: Final = or_(knowledge_bases.c.user_id.is_(None), knowledge_bases.c.removed_at.is_not(None))
# In no order: an order would have all files read, by their ids.
_REMOVED: Final = union(
    _gone.where(text("knowledge_files.removed_at IS NOT NULL")), _gone.where(_AND_BASE, _BASE_IS_GONE)
).limit(LIMIT)
_FORGET: Final = delete(_files).where(
    FILE_IS,
    _files.c.removed_at.is_not(None) | ~exists().where(_AND_BASE, BASE_IS_THERE),
    ~exists().where(chunks.c.knowledge_file_id == _files.c.knowledge_file_id),
)


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
        return _to_file(await owned_row(self._session, _GET, values, "knowledge_file", knowledge_file_id))

    async def list(self, knowledge_id: KnowledgeId, window: Window, *, owner: UserId) -> Sequence[KnowledgeFile]:
        rows = await self._session.rows(_LIST, {**window_values(window, owner), "id": knowledge_id})
        if not rows:
            raise account_gone()
        if rows[0][0] is None:
            raise NotFound("knowledge", knowledge_id)
        return [_to_file(row[1:]) for row in rows if row[1] is not None]

    async def remove(self, knowledge_file_id: KnowledgeFileId, now: datetime, *, owner: UserId) -> None:
        values = {"owner": owner, "file": knowledge_file_id, "now": now}
        if not await self._session.affected(_REMOVE, values):
            await refuse_missing(self._session, owner, "knowledge_file", knowledge_file_id)

    async def retry(self, knowledge_file_id: KnowledgeFileId, now: datetime, *, owner: UserId) -> KnowledgeFile:
        values = {"owner": owner, "file": knowledge_file_id, "now": now}
        rows = await self._session.written(_RETRY, values)
        if rows:
            return _to_file(rows[0])
        await self.get(knowledge_file_id, owner=owner)
        raise Conflict("knowledge_file_at_work", "The work on this file goes on: begin it anew when it has ended.")

    async def unfinished(self, *, owner: UserId) -> int:
        rows = await self._session.rows(_UNFINISHED, {"owner": owner})
        if not rows:
            raise account_gone()
        return int(rows[0][0])

    async def beside(self, file: KnowledgeFile) -> tuple[int, int]:
        values = {"owner": file.user_id, "file": file.knowledge_file_id, "created": file.created_at}
        [row] = await self._session.rows(_BESIDE, values)
        return int(row[0]), int(row[1])

    async def at_work(self, knowledge_file_id: KnowledgeFileId) -> KnowledgeFile | None:
        rows = await self._session.rows(_AT_WORK, {"file": knowledge_file_id})
        return _to_file(rows[0]) if rows else None

    async def record(self, file: KnowledgeFile) -> bool:
        stored = _from_file(file)
        values = {f"new_{name}": stored[name] for name in _CHANGEABLE}
        values |= {"file": file.knowledge_file_id, "begun": file.generation}
        return bool(await self._session.affected(_RECORD, values))

    async def waiting(self, untouched_since: datetime, limit: int) -> Sequence[KnowledgeFile]:
        rows = await self._session.rows(_WAITING, {"before": untouched_since, "row_limit": limit})
        return [_to_file(row) for row in rows]

    async def touch(self, knowledge_file_ids: Sequence[KnowledgeFileId], now: datetime) -> None:
        if knowledge_file_ids:
            await self._session.affected(_TOUCH, {"ids": [*knowledge_file_ids], "now": now})

    async def removed(self, limit: int) -> Sequence[KnowledgeFileId]:
        return [row[0] for row in await self._session.rows(_REMOVED, {"row_limit": limit})]

    async def forget(self, knowledge_file_id: KnowledgeFileId) -> bool:
        return bool(await self._session.affected(_FORGET, {"file": knowledge_file_id}))


def _add(dialect: str, base: dict[str, Any], file: dict[str, Any], connection: Connection) -> Any:
    """Whoever adds to a base takes it first: so many at once see and count each other's files."""
    if not connection.execute(_BASE, base).fetchall():
        return None
    if known := connection.execute(_OF_UPLOAD, base).first():
        return known
    if connection.execute(_NUMBER, base).scalar_one() >= MOST_FILES:
        raise Conflict("knowledge_full", f"A knowledge base holds at most {MOST_FILES:,} files: make another.")
    connection.execute(_ADD[dialect], file)
    return connection.execute(_OF_UPLOAD, base).first()


def _to_file(row: Any) -> KnowledgeFile:
    *fields, status, stage, chunk_count, total, plan, attempts, generation, furthest, code, message = row
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
        None if code is None else IngestionError(code, message),
        furthest,
    )


def _from_file(file: KnowledgeFile) -> dict[str, Any]:
    error = file.error
    fields = {name: getattr(file, name) for name in _NAMES if not name.startswith("error_")}
    return fields | {
        "kind": file.kind.value,
        "status": file.status.value,
        "stage": file.stage.value,
        "error_code": None if error is None else error.code,
        "error_message": None if error is None else error.message,
        "removed_at": None,
    }
