"""The versions of agents that are kept."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Integer, Text, and_, bindparam, select, true

from adapters.database.agents.agent_keeping import CONTENT
from adapters.database.agents.agent_tables import agent_versions
from adapters.database.agents.agents import USABLE, to_agent
from adapters.database.errors import account_gone
from adapters.database.owners import LIMIT, OWNER
from adapters.database.session import Session
from adapters.database.tables import agents, users
from domain.agents.agents import Agent, AgentVersion
from domain.errors import NotFound
from domain.ids import AgentId, UserId

_ID: Final = bindparam("id", type_=Text)
_NUMBER: Final = bindparam("number", type_=Integer)
_AGENT: Final = and_(USABLE, agents.c.agent_id == _ID)
_prior: Final = agent_versions.alias("prior")
# Compared where they lie: of a hundred prompts none is sent to find out which of them changed.
_page: Final = (
    select(
        agent_versions.c.version,
        agent_versions.c.saved_at,
        _prior.c.version.label("before"),
        *(agent_versions.c[name].is_distinct_from(_prior.c[name]).label(name) for name in CONTENT),
    )
    .select_from(
        agent_versions.outerjoin(
            _prior,
            and_(_prior.c.agent_id == agent_versions.c.agent_id, _prior.c.version == agent_versions.c.version - 1),
        )
    )
    .where(agent_versions.c.agent_id == _ID, agent_versions.c.version < _NUMBER)
    .order_by(agent_versions.c.version.desc())
    .limit(LIMIT)
    .subquery("page")
)
_LIST: Final = (
    select(agents.c.agent_id, *_page.c)
    .select_from(users.outerjoin(agents, _AGENT).outerjoin(_page, true()))
    .where(users.c.user_id == OWNER)
    .order_by(_page.c.version.desc())
)
_KEPT: Final = {name: agent_versions.c[name] for name in (*CONTENT, "version")} | {
    "updated_at": agent_versions.c.saved_at
}
# In the order of `agents`: its own columns, but those that were other ones at the time.
_GET: Final = (
    select(agent_versions.c.version, *(_KEPT.get(column.name, column) for column in agents.c))
    .select_from(
        users.outerjoin(agents, _AGENT).outerjoin(
            agent_versions, and_(agent_versions.c.agent_id == agents.c.agent_id, agent_versions.c.version == _NUMBER)
        )
    )
    .where(users.c.user_id == OWNER)
)


class AgentVersionRows:
    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    async def list(self, agent_id: AgentId, before: int, limit: int, *, owner: UserId) -> Sequence[AgentVersion]:
        values = {"owner": owner, "id": agent_id, "number": before, "row_limit": limit}
        rows = await self._session.rows(_LIST, values)
        if not rows:
            raise account_gone()
        if rows[0][0] is None:
            raise NotFound("agent", agent_id)
        return [
            AgentVersion(number, saved_at, () if prior is None else _named(differs))
            for _, number, saved_at, prior, *differs in rows
            if number is not None
        ]

    async def get(self, agent_id: AgentId, version: int, *, owner: UserId) -> Agent:
        rows = await self._session.rows(_GET, {"owner": owner, "id": agent_id, "number": version})
        if not rows:
            raise account_gone()
        number, *row = rows[0]
        if row[0] is None:
            raise NotFound("agent", agent_id)
        if number is None:
            raise NotFound("agent_version", str(version))
        return to_agent(row)


def _named(differs: Sequence[bool]) -> tuple[str, ...]:
    return tuple(name for name, differ in zip(CONTENT, differs, strict=True) if differ)
