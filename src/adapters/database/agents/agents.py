"""Agents: a person's own, and the built-in ones that belong to nobody."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Integer, Text, bindparam, delete, insert, or_, select, update

from adapters.database.agents.agent_keeping import keep_version
from adapters.database.owners import (
    OWNER,
    beside_owner,
    newest_first,
    owned_row,
    owned_rows,
    refuse_missing,
    window_values,
)
from adapters.database.session import Session
from adapters.database.tables import agents, dialogs
from application.paging import Window
from domain.agents.agents import NAME_MAX, Agent
from domain.errors import Conflict, Forbidden
from domain.ids import AgentId, UserId

USABLE: Final = or_(agents.c.user_id == OWNER, agents.c.user_id.is_(None))
_MINE: Final = agents.c.user_id == OWNER
_THIS: Final = agents.c.agent_id == bindparam("id", type_=Text)
_ADD: Final = insert(agents)
_GET: Final = beside_owner(select(agents).where(USABLE, _THIS).subquery())
_LIST: Final = newest_first(select(agents).where(USABLE), agents, "agent_id")
_SEARCH: Final = newest_first(
    select(agents).where(USABLE, agents.c.name_key.like(bindparam("pattern", type_=Text), escape="/")),
    agents,
    "agent_id",
)
_NAMED: Final = beside_owner(select(agents).where(USABLE, agents.c.name_key == bindparam("key", type_=Text)).subquery())
_SAVE: Final = (
    update(agents)
    .where(_MINE, _THIS, agents.c.version == bindparam("stored_version", type_=Integer))
    .values(
        {
            column.name: bindparam(column.name, type_=column.type)
            for column in agents.c
            if column.name not in {"agent_id", "user_id"}
        }
    )
)
_KEEP_NAME: Final = (
    update(dialogs)
    .where(dialogs.c.user_id == OWNER, dialogs.c.agent_id == bindparam("id", type_=Text))
    .values(agent_name=bindparam("last_name", type_=Text), logo_url=bindparam("last_logo", type_=Text))
)
_REMOVE: Final = delete(agents).where(_MINE, _THIS)

_KEY_MAX: Final = NAME_MAX * 18
"""Compatibility normalisation makes at most 18 characters of one."""

_ids_of: Final = msgspec.json.Decoder(tuple[str, ...]).decode


class AgentRows:
    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    async def add(self, agent: Agent) -> None:
        values = {"agent_id": agent.agent_id, "user_id": agent.user_id, **_changeable(agent)}
        await self._session.together(partial(_add, agent_id=agent.agent_id, values=values))

    async def get(self, agent_id: AgentId, *, owner: UserId) -> Agent:
        return to_agent(await owned_row(self._session, _GET, {"owner": owner, "id": agent_id}, "agent", agent_id))

    async def list(self, window: Window, *, owner: UserId, name_part: str | None = None) -> Sequence[Agent]:
        values = window_values(window, owner)
        if name_part is None:
            return [to_agent(row) for row in await owned_rows(self._session, _LIST, values)]
        values["pattern"] = _containing(name_part)
        return [to_agent(row) for row in await owned_rows(self._session, _SEARCH, values)]

    async def named(self, name_key: str, *, owner: UserId) -> Sequence[Agent]:
        rows = await owned_rows(self._session, _NAMED, {"owner": owner, "key": name_key})
        return [to_agent(row) for row in rows]

    async def save(self, agent: Agent) -> None:
        owner = _owner_of(agent)
        values = {"owner": owner, "id": agent.agent_id, "stored_version": agent.version - 1, **_changeable(agent)}
        if await self._session.together(partial(_save, agent_id=agent.agent_id, values=values)):
            return
        stored = await self.get(agent.agent_id, owner=owner)
        raise Conflict(
            "agent_version_stale",
            f"The agent is at version {stored.version} by now: load it again.",
            field="version",
        )

    async def remove(self, agent: Agent) -> None:
        owner = _owner_of(agent)
        this = {"owner": owner, "id": agent.agent_id}
        await self._session.affected(_KEEP_NAME, {**this, "last_name": agent.name, "last_logo": agent.logo_url})
        if not await self._session.affected(_REMOVE, this):
            await refuse_missing(self._session, owner, "agent", agent.agent_id)


def _add(connection: Connection, agent_id: AgentId, values: dict[str, Any]) -> None:
    connection.execute(_ADD, values)
    keep_version(connection, agent_id)


def _save(connection: Connection, agent_id: AgentId, values: dict[str, Any]) -> bool:
    if not connection.execute(_SAVE, values).rowcount:
        return False
    keep_version(connection, agent_id)
    return True


def to_agent(row: Any) -> Agent:
    agent_id, user_id, name, _, created_at, updated_at, description, logo_url, system_prompt, llm_id, *rest = row
    tool_ids, mcp_ids, knowledge_ids, enable_memory, version, require_approval = rest
    return Agent(
        agent_id,
        user_id,
        name,
        created_at,
        updated_at,
        description,
        logo_url,
        system_prompt,
        llm_id,
        _links(tool_ids),
        _links(mcp_ids),
        _links(knowledge_ids),
        enable_memory,
        version,
        _links(require_approval),
    )


def _links(stored: str) -> tuple[Any, ...]:
    return () if stored == "[]" else _ids_of(stored)


def _changeable(agent: Agent) -> dict[str, Any]:
    return {
        "name": agent.name,
        "name_key": agent.name_key,
        "created_at": agent.created_at,
        "updated_at": agent.updated_at,
        "description": agent.description,
        "logo_url": agent.logo_url,
        "system_prompt": agent.system_prompt,
        "llm_id": agent.llm_id,
        "tool_ids": msgspec.json.encode(agent.tool_ids).decode(),
        "mcp_ids": msgspec.json.encode(agent.mcp_ids).decode(),
        "knowledge_ids": msgspec.json.encode(agent.knowledge_ids).decode(),
        "enable_memory": agent.enable_memory,
        "version": agent.version,
        "require_approval": msgspec.json.encode(agent.require_approval).decode(),
    }


def _owner_of(agent: Agent) -> UserId:
    if agent.user_id is None:
        raise Forbidden("agent_built_in", "A built-in agent can't be changed or deleted.")
    return agent.user_id


def _containing(part: str) -> str:
    # Longer than any key finds nothing, however long it is; SQLite refuses patterns above 50,000 bytes.
    literal = part[: _KEY_MAX + 1].replace("/", "//").replace("%", "/%").replace("_", "/_")
    return f"%{literal}%"
