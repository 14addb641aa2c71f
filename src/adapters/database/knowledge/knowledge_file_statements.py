"""What is said to the database about files in bases."""

from typing import Final

from sqlalchemy import (
    BigInteger,
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

from adapters.database.columns import Moment
from adapters.database.knowledge.chunk_tables import chunks
from adapters.database.knowledge.knowledge_bases import BASE_IS, BASE_IS_MINE, BASE_IS_THERE, NOW
from adapters.database.knowledge.knowledge_tables import LIVE_FILE, knowledge_bases, knowledge_files
from adapters.database.owners import LIMIT, OWNER, beside_owner
from adapters.database.tables import users
from domain.knowledge.knowledge import PARTS_BEFORE, PARTS_READ, WHOLE, IngestionStatus, Stage

_files: Final = knowledge_files
NAMES: Final = [column.name for column in _files.c if column.name != "removed_at"]
_SHOWN: Final = select(*(_files.c[name] for name in NAMES))
_AND_BASE: Final = _files.c.knowledge_id == knowledge_bases.c.knowledge_id
FILE_IS: Final = _files.c.knowledge_file_id == bindparam("file", type_=Text)
# As text, so that both databases see that the partial indexes serve.
_IN_PROCESS: Final = text(LIVE_FILE.replace("removed_at", "knowledge_files.removed_at"))
_MINE: Final = and_(_AND_BASE, BASE_IS_MINE, _files.c.removed_at.is_(None))
AT_WORK: Final = and_(_AND_BASE, BASE_IS_THERE, _IN_PROCESS)
_IN_A_BASE_OF_MINE: Final = and_(_files.c.removed_at.is_(None), exists().where(_AND_BASE, BASE_IS_MINE))
_IN_A_BASE: Final = and_(_IN_PROCESS, exists().where(_AND_BASE, BASE_IS_THERE))

HOLD_BASE_OF_MINE: Final = select(knowledge_bases.c.knowledge_id).where(BASE_IS_MINE, BASE_IS).with_for_update()
NUMBER: Final = select(func.count()).where(
    _files.c.knowledge_id == bindparam("id", type_=Text), _files.c.removed_at.is_(None)
)
ADD: Final = {
    "sqlite": sqlite.insert(_files).on_conflict_do_nothing(),
    "postgresql": postgresql.insert(_files).on_conflict_do_nothing(),
}
OF_UPLOAD: Final = _SHOWN.where(
    _files.c.knowledge_id == bindparam("id", type_=Text),
    _files.c.file_id == bindparam("upload", type_=Text),
    _files.c.removed_at.is_(None),
)
GET: Final = beside_owner(_SHOWN.where(_MINE, FILE_IS).subquery())
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
LIST: Final = (
    select(knowledge_bases.c.knowledge_id.label("base"), *_page.c)
    .select_from(users.outerjoin(knowledge_bases, and_(BASE_IS_MINE, BASE_IS)).outerjoin(_page, true()))
    .where(users.c.user_id == OWNER)
    .order_by(_page.c.created_at.desc(), _page.c.knowledge_file_id.desc())
)
REMOVE: Final = update(_files).where(FILE_IS, _IN_A_BASE_OF_MINE).values(removed_at=NOW)
RETRY: Final = (
    update(_files)
    .where(FILE_IS, _IN_A_BASE_OF_MINE, _files.c.status != IngestionStatus.PROCESS.value)
    .values(
        status=IngestionStatus.PROCESS.value,
        stage=Stage.QUEUED.value,
        attempts=0,
        error_code=null(),
        error_message=null(),
        generation=_files.c.generation + 1,
        replanned=0,
        furthest=0,
        updated_at=NOW,
    )
    .returning(*(_files.c[name] for name in NAMES))
)
UNFINISHED: Final = select(select(func.count()).where(AT_WORK, _files.c.user_id == OWNER).scalar_subquery()).where(
    users.c.user_id == OWNER
)
_others: Final = select(func.count()).where(
    AT_WORK, _files.c.user_id == OWNER, _files.c.knowledge_file_id != bindparam("file", type_=Text)
)
BESIDE: Final = select(
    _others.where(_files.c.stage == Stage.QUEUED.value).scalar_subquery(),
    _others.where(
        tuple_(_files.c.created_at, _files.c.knowledge_file_id)
        < tuple_(bindparam("created", type_=Moment), bindparam("file", type_=Text))
    ).scalar_subquery(),
)
FIND_AT_WORK: Final = _SHOWN.where(AT_WORK, FILE_IS)
HOLD_AT_WORK: Final = FIND_AT_WORK.with_for_update(of=_files)
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
CHANGEABLE: Final = (
    "status",
    "stage",
    "total",
    "plan",
    "attempts",
    "turn",
    "replanned",
    "error_code",
    "error_message",
    "updated_at",
)
RECORD: Final = (
    update(_files)
    .where(
        FILE_IS,
        _IN_A_BASE,
        _files.c.generation == bindparam("begun", type_=Integer),
        # Whoever began before somebody else did has lost its say.
        _files.c.turn <= bindparam("new_turn", type_=Integer),
    )
    .values({name: bindparam(f"new_{name}", type_=_files.c[name].type) for name in CHANGEABLE})
    .values(furthest=FURTHEST)
)
WAITING: Final = (
    _SHOWN.where(AT_WORK, _files.c.updated_at < bindparam("before", type_=Moment))
    .order_by(_files.c.updated_at)
    .limit(LIMIT)
)
TOUCH: Final = (
    update(_files)
    .where(_files.c.knowledge_file_id.in_(bindparam("ids", type_=Text, expanding=True)), _IN_PROCESS)
    .values(updated_at=NOW)
)
_gone: Final = select(_files.c.knowledge_file_id)
_BASE_IS_GONE: Final = or_(knowledge_bases.c.user_id.is_(None), knowledge_bases.c.removed_at.is_not(None))
# In no order: an order would have all files read, by their ids.
REMOVED: Final = union(
    _gone.where(text("knowledge_files.removed_at IS NOT NULL")), _gone.where(_AND_BASE, _BASE_IS_GONE)
).limit(LIMIT)
FORGET: Final = delete(_files).where(
    FILE_IS,
    _files.c.removed_at.is_not(None) | ~exists().where(_AND_BASE, BASE_IS_THERE),
    ~exists().where(chunks.c.knowledge_file_id == _files.c.knowledge_file_id),
)
