"""Knowledge bases: their owner's, and those that are gone, until what was in them has gone too."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Connection,
    Integer,
    Select,
    Text,
    Update,
    and_,
    bindparam,
    cast,
    delete,
    exists,
    func,
    insert,
    literal_column,
    null,
    or_,
    select,
    text,
    update,
)

from adapters.database.agents.agent_links import AgentLinks
from adapters.database.columns import Moment
from adapters.database.knowledge.chunk_tables import chunks
from adapters.database.knowledge.knowledge_tables import GONE, knowledge_bases, knowledge_files
from adapters.database.owners import (
    LIMIT,
    OWNER,
    beside_owner,
    newest_first,
    number_of,
    owned_number,
    owned_row,
    owned_rows,
    refuse_missing,
    window_values,
)
from adapters.database.session import Rows, Session
from adapters.database.tables import agents
from application.paging import Window
from domain.ids import KnowledgeId, UserId
from domain.knowledge.knowledge import KnowledgeBase
from domain.text import search_key

BASE_IS: Final = knowledge_bases.c.knowledge_id == bindparam("id", type_=Text)
BASE_IS_THERE: Final = and_(knowledge_bases.c.user_id.is_not(None), knowledge_bases.c.removed_at.is_(None))
BASE_IS_MINE: Final = and_(knowledge_bases.c.user_id == OWNER, knowledge_bases.c.removed_at.is_(None))
NOW: Final = bindparam("now", type_=Moment)
HOLD_BASE: Final = select(knowledge_bases.c.knowledge_id).where(BASE_IS, BASE_IS_THERE).with_for_update()
_AMONG: Final = knowledge_bases.c.knowledge_id.in_(bindparam("ids", type_=Text, expanding=True))

_NAMES: Final = ("knowledge_id", "user_id", "name", "description", "created_at", "updated_at", "model", "incomplete")
_COLUMNS: Final = [knowledge_bases.c[name] for name in _NAMES]
_live_files: Final = (
    knowledge_files.c.knowledge_id == knowledge_bases.c.knowledge_id,
    knowledge_files.c.removed_at.is_(None),
)
_NUMBER: Final = select(func.count()).where(*_live_files).scalar_subquery().label("files")
_SIZE: Final = (
    select(cast(func.coalesce(func.sum(knowledge_files.c.size), 0), BigInteger))
    .where(*_live_files)
    .scalar_subquery()
    .label("size")
)
_SHOWN: Final = select(*_COLUMNS, _NUMBER, _SIZE)
_BARE: Final = select(
    *_COLUMNS, literal_column("0", Integer).label("files"), literal_column("0", Integer).label("size")
)

_ADD: Final = insert(knowledge_bases)
_GET: Final = beside_owner(_SHOWN.where(BASE_IS_MINE, BASE_IS).subquery())
# In a transaction the base stays as it is until the end: else of two who change it one would undo the other's change.
_HOLD_MINE: Final = select(knowledge_bases.c.knowledge_id).where(BASE_IS_MINE, BASE_IS).with_for_update(key_share=True)
_COUNT: Final = number_of(BASE_IS_MINE)
_LIST: Final = newest_first(_SHOWN.where(BASE_IS_MINE), knowledge_bases, "knowledge_id")
_THESE: Final = beside_owner(_BARE.where(BASE_IS_MINE, _AMONG).subquery())
_IS_NAMED: Final = knowledge_bases.c.name_key.in_(bindparam("keys", type_=Text, expanding=True))
_NAMED: Final = beside_owner(_BARE.where(BASE_IS_MINE, _IS_NAMED).subquery())
# In a transaction they stay until its end: whoever links them to an agent and whoever removes them take turns.
_HELD: Final = (
    _BARE.where(BASE_IS_MINE, _AMONG)
    .order_by(knowledge_bases.c.knowledge_id)
    .with_for_update(read=True, of=knowledge_bases)
)
_SAVE: Final = (
    update(knowledge_bases)
    .where(BASE_IS_MINE, BASE_IS)
    .values(
        {
            column: bindparam(f"new_{column}", type_=knowledge_bases.c[column].type)
            for column in ("name", "name_key", "description", "updated_at")
        }
    )
)
# Its name is free again: a key of NULL is like no other.
_REMOVE: Final = (
    update(knowledge_bases)
    .where(BASE_IS_MINE, BASE_IS)
    .values(removed_at=NOW, name_key=null(), shrunk=knowledge_bases.c.shrunk + 1)
)
_links: Final = AgentLinks(agents.c.knowledge_ids)
_REMOVED: Final = (
    select(knowledge_bases.c.knowledge_id).where(text(GONE)).order_by(knowledge_bases.c.knowledge_id).limit(LIMIT)
)
_IS_GONE: Final = or_(knowledge_bases.c.user_id.is_(None), knowledge_bases.c.removed_at.is_not(None))
_FORGETTABLE: Final = (
    select(knowledge_bases.c.knowledge_id)
    .where(BASE_IS, _IS_GONE, ~exists().where(chunks.c.knowledge_id == knowledge_bases.c.knowledge_id))
    .with_for_update(of=knowledge_bases)
)
_FORGET_FILES: Final = delete(knowledge_files).where(knowledge_files.c.knowledge_id == bindparam("id", type_=Text))
_FORGET: Final = delete(knowledge_bases).where(BASE_IS)
_MODEL: Final = bindparam("other", type_=Text)
_OF_OTHER_MODELS: Final = (
    select(knowledge_bases.c.knowledge_id)
    .where(
        BASE_IS_THERE,
        or_(knowledge_bases.c.model.is_(None), knowledge_bases.c.model != _MODEL, knowledge_bases.c.incomplete),
        knowledge_bases.c.knowledge_id > bindparam("after", type_=Text),
    )
    .order_by(knowledge_bases.c.knowledge_id)
    .limit(LIMIT)
)

_MODEL_OF: Final = select(knowledge_bases.c.model).where(BASE_IS, BASE_IS_THERE)


class KnowledgeBaseRows:
    __slots__ = ("_elsewhere", "_session", "_switching")

    def __init__(self, session: Session, switching: Update, elsewhere: Select[Any]) -> None:
        self._session = session
        self._switching = switching
        self._elsewhere = elsewhere

    async def add(self, base: KnowledgeBase) -> None:
        await self._session.affected(_ADD, _from_base(base))

    async def get(self, knowledge_id: KnowledgeId, *, owner: UserId) -> KnowledgeBase:
        values = {"owner": owner, "id": knowledge_id}
        if not self._session.alone:
            await self._session.rows(_HOLD_MINE, values)
        return _to_base(await owned_row(self._session, _GET, values, "knowledge", knowledge_id))

    async def list(self, window: Window, *, owner: UserId) -> Sequence[KnowledgeBase]:
        return [_to_base(row) for row in await owned_rows(self._session, _LIST, window_values(window, owner))]

    async def count(self, *, owner: UserId) -> int:
        return await owned_number(self._session, _COUNT, owner)

    async def these(self, knowledge_ids: Sequence[KnowledgeId], *, owner: UserId) -> Sequence[KnowledgeBase]:
        values = {"owner": owner, "ids": [*knowledge_ids]}
        rows: Rows = () if self._session.alone else await self._session.rows(_HELD, values)
        return [_to_base(row) for row in rows or await owned_rows(self._session, _THESE, values)]

    async def named(self, name_keys: Sequence[str], *, owner: UserId) -> Sequence[KnowledgeBase]:
        values = {"owner": owner, "keys": [*name_keys]}
        return [_to_base(row) for row in await owned_rows(self._session, _NAMED, values)]

    async def save(self, base: KnowledgeBase) -> None:
        values = {
            "owner": base.user_id,
            "id": base.knowledge_id,
            "new_name": base.name,
            "new_name_key": search_key(base.name),
            "new_description": base.description,
            "new_updated_at": base.updated_at,
        }
        if not await self._session.affected(_SAVE, values):
            await refuse_missing(self._session, base.user_id, "knowledge", base.knowledge_id)

    async def remove(self, knowledge_id: KnowledgeId, now: datetime, *, owner: UserId) -> None:
        if not await self._session.together(partial(_remove, id=knowledge_id, now=now, owner=owner)):
            await refuse_missing(self._session, owner, "knowledge", knowledge_id)

    async def removed(self, limit: int) -> Sequence[KnowledgeId]:
        return [row[0] for row in await self._session.rows(_REMOVED, {"row_limit": limit})]

    async def forget(self, knowledge_id: KnowledgeId) -> bool:
        return await self._session.together(partial(_forget, id=knowledge_id))

    async def of_other_models(self, model: str, limit: int, after: KnowledgeId | None = None) -> Sequence[KnowledgeId]:
        values = {"other": model, "row_limit": limit, "after": after or ""}
        return [row[0] for row in await self._session.rows(_OF_OTHER_MODELS, values)]

    async def model(self, knowledge_id: KnowledgeId) -> str | None:
        rows = await self._session.rows(_MODEL_OF, {"id": knowledge_id})
        return rows[0][0] if rows else None

    async def switch(self, knowledge_id: KnowledgeId, model: str) -> bool:
        return await self._session.together(partial(_switch, self._switching, id=knowledge_id, of_model=model))

    async def vectors_elsewhere(self) -> bool:
        return bool(await self._session.rows(self._elsewhere, {}))


def _remove(connection: Connection, **values: Any) -> bool:
    if not connection.execute(_REMOVE, values).rowcount:
        return False
    _links.drop(connection, values["id"], values["owner"], values["now"])
    return True


def _switch(switching: Update, connection: Connection, **values: Any) -> bool:
    # Held first: a statement that waits for whoever adds chunks does not see them.
    connection.execute(HOLD_BASE, values).fetchall()
    return bool(connection.execute(switching, values).rowcount)


def _forget(connection: Connection, **values: Any) -> bool:
    if not connection.execute(_FORGETTABLE, values).fetchall():
        return False
    connection.execute(_FORGET_FILES, values)
    return bool(connection.execute(_FORGET, values).rowcount)


def _to_base(row: Any) -> KnowledgeBase:
    return KnowledgeBase(*row)


def _from_base(base: KnowledgeBase) -> dict[str, Any]:
    fields = {name: getattr(base, name) for name in _NAMES}
    return {**fields, "name_key": search_key(base.name), "removed_at": None, "grown": 0, "shrunk": 0}
