"""Tools that people brought."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from itertools import accumulate
from typing import Any, Final

from sqlalchemy import Connection, Integer, Text, bindparam, case, cast, delete, func, insert, null, select, update

from adapters.database.agents.agent_links import AgentLinks
from adapters.database.agents.tool_tables import tools
from adapters.database.errors import account_gone
from adapters.database.owners import (
    OWNER,
    before,
    beside_owner,
    newest_first,
    owned_row,
    owned_rows,
    refuse_missing,
    window_values,
)
from adapters.database.session import Session
from adapters.database.tables import agents, users
from application.paging import Window
from application.ports.tools import Portion, Stock
from domain.ids import ToolId, UserId
from domain.tools.user_tools import SHOWN_MAX, ApiDocument, AuthType, SealedAuth, UserTool

_MINE: Final = tools.c.user_id == OWNER
_THIS: Final = tools.c.tool_id == bindparam("id", type_=Text)
_AMONG: Final = tools.c.tool_id.in_(bindparam("ids", type_=Text, expanding=True))
_NAMES: Final = [column.name for column in tools.c if column.name != "size"]
_SHOWN: Final = select(*(tools.c[name] for name in _NAMES))

_ADD: Final = insert(tools)
_GET: Final = beside_owner(_SHOWN.where(_MINE, _THIS).subquery())
# In a transaction the tool stays as it is until the end: of two who change it one would undo the other's change.
_HOLD: Final = select(tools.c.tool_id).where(_MINE, _THIS).with_for_update()
# Of documents that are newer, with their window alone: whoever shows a list loads no more of it than a page may show.
_ahead: Final = func.sum(tools.c.size).over(
    order_by=(tools.c.created_at.desc(), tools.c.tool_id.desc()), rows=(None, -1)
)
_sized: Final = select(tools.c.tool_id, _ahead.label("ahead")).where(_MINE, before(tools, "tool_id")).subquery()
_ROOM: Final = select(_sized.c.tool_id).where(func.coalesce(_sized.c.ahead, 0) <= SHOWN_MAX)
_LIST: Final = newest_first(_SHOWN.where(_MINE, tools.c.tool_id.in_(_ROOM)), tools, "tool_id")
_THESE: Final = beside_owner(_SHOWN.where(_MINE, _AMONG).subquery())
_ALL_FIT: Final = select(func.sum(tools.c.size)).where(_MINE, _AMONG).scalar_subquery() <= bindparam(
    "characters", type_=Integer
)
_PORTION: Final = beside_owner(
    select(
        *(
            case((_ALL_FIT, column), else_=null()).label("document") if column.name == "document" else column
            for column in tools.c
        )
    )
    .where(_MINE, _AMONG)
    .subquery()
)
_by_name: Final = _SHOWN.where(_MINE, tools.c.en_name.in_(bindparam("names", type_=Text, expanding=True))).subquery()
_NAMED: Final = beside_owner(_by_name, _by_name.c.created_at, _by_name.c.tool_id)
# Whoever links them to an agent and whoever removes them take turns.
_HELD: Final = select(tools.c.tool_id).where(_MINE, _AMONG).order_by(tools.c.tool_id).with_for_update(read=True)
_STOCK: Final = select(
    select(func.count()).where(_MINE).scalar_subquery(),
    select(cast(func.coalesce(func.sum(tools.c.size), 0), Integer)).where(_MINE).scalar_subquery(),
).where(users.c.user_id == OWNER)
_CHANGEABLE: Final = [column for column in tools.c if column.name not in {"tool_id", "user_id", "created_at"}]
_SAVE: Final = (
    update(tools)
    .where(_MINE, _THIS)
    .values({column: bindparam(f"new_{column.name}", type_=column.type) for column in _CHANGEABLE})
)
_REMOVE: Final = delete(tools).where(_MINE, _THIS)
_links: Final = AgentLinks(agents.c.tool_ids)


class ToolRows:
    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    async def add(self, tool: UserTool) -> None:
        await self._session.affected(_ADD, _from_tool(tool))

    async def get(self, tool_id: ToolId, *, owner: UserId) -> UserTool:
        values = {"owner": owner, "id": tool_id}
        if not self._session.alone:
            await self._session.rows(_HOLD, values)
        return _to_tool(await owned_row(self._session, _GET, values, "tool", tool_id))

    async def list(self, window: Window, *, owner: UserId) -> Sequence[UserTool]:
        return [_to_tool(row) for row in await owned_rows(self._session, _LIST, window_values(window, owner))]

    async def these(self, tool_ids: Sequence[ToolId], *, owner: UserId) -> Sequence[UserTool]:
        values = {"owner": owner, "ids": [*tool_ids]}
        return [_to_tool(row) for row in await owned_rows(self._session, _THESE, values)]

    async def portion(self, tool_ids: Sequence[ToolId], characters: int, *, owner: UserId) -> Portion:
        rows = await owned_rows(self._session, _PORTION, {"owner": owner, "ids": [*tool_ids], "characters": characters})
        if sum(row[-1] for row in rows) <= characters:
            return Portion([_to_tool(row[:-1]) for row in rows])
        known = {row[0]: row for row in rows}
        ordered = [known[one] for one in dict.fromkeys(tool_ids) if one in known]
        room = bisect_right(list(accumulate(row[-1] for row in ordered)), characters)
        found = await self.these([row[0] for row in ordered[:room]], owner=owner)
        return Portion(found, [_to_tool(row[:-1]).en_name for row in ordered[room:] if row[-1]])

    async def named(self, names: Sequence[str], *, owner: UserId) -> Sequence[UserTool]:
        values = {"owner": owner, "names": [*names]}
        return [_to_tool(row) for row in await owned_rows(self._session, _NAMED, values)]

    async def held(self, tool_ids: Sequence[ToolId], *, owner: UserId) -> frozenset[ToolId]:
        values = {"owner": owner, "ids": [*tool_ids]}
        rows = await self._session.rows(_HELD, values)
        return frozenset(row[0] for row in rows or await owned_rows(self._session, _THESE, values))

    async def stock(self, *, owner: UserId) -> Stock:
        rows = await self._session.rows(_STOCK, {"owner": owner})
        if not rows:
            raise account_gone()
        return Stock(*rows[0])

    async def save(self, tool: UserTool) -> None:
        stored = _from_tool(tool)
        new = {f"new_{column.name}": stored[column.name] for column in _CHANGEABLE}
        if not await self._session.affected(_SAVE, {"owner": tool.user_id, "id": tool.tool_id, **new}):
            await refuse_missing(self._session, tool.user_id, "tool", tool.tool_id)

    async def remove(self, tool_id: ToolId, now: datetime, *, owner: UserId) -> None:
        if not await self._session.together(partial(_remove, tool_id=tool_id, owner=owner, now=now)):
            await refuse_missing(self._session, owner, "tool", tool_id)


def _remove(connection: Connection, *, tool_id: ToolId, owner: UserId, now: datetime) -> bool:
    if not connection.execute(_REMOVE, {"id": tool_id, "owner": owner}).rowcount:
        return False
    _links.drop(connection, tool_id, owner, now)
    return True


def _to_tool(row: Any) -> UserTool:
    *told, document, is_object, auth_type, sealed = row
    described = None if document is None else ApiDocument(document, is_object)
    auth = None if auth_type is None else SealedAuth(AuthType(auth_type), sealed)
    return replace(UserTool(*told), document=described, auth=auth)


def _from_tool(tool: UserTool) -> dict[str, Any]:
    return {
        "tool_id": tool.tool_id,
        "user_id": tool.user_id,
        "zh_name": tool.zh_name,
        "en_name": tool.en_name,
        "description": tool.description,
        "logo_url": tool.logo_url,
        "created_at": tool.created_at,
        "updated_at": tool.updated_at,
        "document": None if tool.document is None else tool.document.text,
        "is_object": tool.document is not None and tool.document.is_object,
        "auth_type": None if tool.auth is None else tool.auth.type.value,
        "sealed": None if tool.auth is None else tool.auth.sealed,
        "size": tool.size,
    }
