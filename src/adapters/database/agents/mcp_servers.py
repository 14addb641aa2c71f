"""MCP servers that people brought."""

from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from functools import partial
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Text, bindparam, delete, insert, select, update

from adapters.database.agents.agent_links import AgentLinks
from adapters.database.agents.tool_tables import mcp_servers
from adapters.database.columns import Moment
from adapters.database.owners import (
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
from adapters.database.session import Session
from adapters.database.tables import agents
from application.paging import Window
from application.ports.tools import StoredServer
from domain.ids import McpServerId, UserId
from domain.tools.mcp_servers import McpTransport

_servers: Final = mcp_servers
_MINE: Final = _servers.c.user_id == OWNER
_THIS: Final = _servers.c.server_id == bindparam("id", type_=Text)
_AMONG: Final = _servers.c.server_id.in_(bindparam("ids", type_=Text, expanding=True))

_ADD: Final = insert(_servers)
_GET: Final = beside_owner(select(_servers).where(_MINE, _THIS).subquery())
# In a transaction the server stays as it is until the end: of two who change it one would undo the other's change.
_HOLD: Final = select(_servers.c.server_id).where(_MINE, _THIS).with_for_update()
_LIST: Final = newest_first(select(_servers).where(_MINE), _servers, "server_id")
_THESE: Final = beside_owner(select(_servers).where(_MINE, _AMONG).subquery())
# Whoever links them to an agent and whoever removes them take turns.
_HELD: Final = (
    select(_servers.c.server_id).where(_MINE, _AMONG).order_by(_servers.c.server_id).with_for_update(read=True)
)
_COUNT: Final = number_of(_MINE)
_CHANGEABLE: Final = ("name", "transport", "sealed", "updated_at", "description", "tools", "status")
_SAVE: Final = (
    update(_servers)
    .where(_MINE, _THIS)
    .values({name: bindparam(f"new_{name}", type_=_servers.c[name].type) for name in _CHANGEABLE})
)
_NOTE: Final = (
    update(_servers)
    .where(_MINE, _THIS, _servers.c.updated_at == bindparam("read", type_=Moment))
    .values({name: bindparam(f"new_{name}", type_=Text) for name in ("tools", "status")})
)
_REMOVE: Final = delete(_servers).where(_MINE, _THIS)
_links: Final = AgentLinks(agents.c.mcp_ids)

_names_of: Final = msgspec.json.Decoder(tuple[str, ...]).decode


class McpServerRows:
    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    async def add(self, server: StoredServer) -> None:
        await self._session.affected(_ADD, _from_server(server))

    async def get(self, server_id: McpServerId, *, owner: UserId) -> StoredServer:
        values = {"owner": owner, "id": server_id}
        if not self._session.alone:
            await self._session.rows(_HOLD, values)
        return _to_server(await owned_row(self._session, _GET, values, "mcp_server", server_id))

    async def list(self, window: Window, *, owner: UserId) -> Sequence[StoredServer]:
        return [_to_server(row) for row in await owned_rows(self._session, _LIST, window_values(window, owner))]

    async def these(self, server_ids: Sequence[McpServerId], *, owner: UserId) -> Sequence[StoredServer]:
        values = {"owner": owner, "ids": [*server_ids]}
        return [_to_server(row) for row in await owned_rows(self._session, _THESE, values)]

    async def held(self, server_ids: Sequence[McpServerId], *, owner: UserId) -> frozenset[McpServerId]:
        values = {"owner": owner, "ids": [*server_ids]}
        rows = await self._session.rows(_HELD, values)
        return frozenset(row[0] for row in rows or await owned_rows(self._session, _THESE, values))

    async def count(self, *, owner: UserId) -> int:
        return await owned_number(self._session, _COUNT, owner)

    async def save(self, server: StoredServer) -> None:
        stored = _from_server(server)
        values = {"owner": server.user_id, "id": server.server_id}
        new = {f"new_{name}": stored[name] for name in _CHANGEABLE}
        if not await self._session.affected(_SAVE, {**values, **new}):
            await refuse_missing(self._session, server.user_id, "mcp_server", server.server_id)

    async def note(self, server: StoredServer) -> None:
        stored = _from_server(server)
        values = {"owner": server.user_id, "id": server.server_id, "read": server.updated_at}
        await self._session.affected(_NOTE, {**values, "new_tools": stored["tools"], "new_status": server.status})

    async def remove(self, server_id: McpServerId, now: datetime, *, owner: UserId) -> None:
        if not await self._session.together(partial(_remove, server_id=server_id, owner=owner, now=now)):
            await refuse_missing(self._session, owner, "mcp_server", server_id)


def _remove(connection: Connection, *, server_id: McpServerId, owner: UserId, now: datetime) -> bool:
    if not connection.execute(_REMOVE, {"id": server_id, "owner": owner}).rowcount:
        return False
    _links.drop(connection, server_id, owner, now)
    return True


def _to_server(row: Any) -> StoredServer:
    server_id, user_id, name, transport, sealed, created_at, updated_at, description, tools, status = row
    return StoredServer(
        server_id,
        user_id,
        name,
        McpTransport(transport),
        sealed,
        created_at,
        updated_at,
        description,
        _names_of(tools),
        status,
    )


def _from_server(server: StoredServer) -> dict[str, Any]:
    told = {one.name: getattr(server, one.name) for one in fields(server)}
    return {**told, "transport": server.transport.value, "tools": msgspec.json.encode(server.tools).decode()}
