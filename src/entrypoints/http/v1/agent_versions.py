"""Versions of agents over HTTP."""

from typing import Annotated, Final

from dishka.integrations.litestar import FromDishka, inject
from litestar import get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from application.agents.agent_versions import NEWEST, ListAgentVersions, RollBackAgent, RolledBack, ShowAgentVersion
from application.paging import Window
from domain.agents.agent_files import Missing
from domain.agents.agents import AgentVersion
from domain.errors import NotFound
from domain.ids import AgentId
from entrypoints.http.auth import Caller
from entrypoints.http.envelope import Envelope, PageEnvelope, ok, page_of, rfc3339
from entrypoints.http.identifiers import Cursor, Limit, from_path
from entrypoints.http.v1.agents import AgentView

TAGS: Final = ["agents"]


class AgentVersionView(Struct):
    """A save of an agent. `changed` names the fields that differ from the version before.

    It is empty for the oldest version that is kept.
    """

    version: int
    create_time: str
    changed: tuple[str, ...]

    @classmethod
    def of(cls, one: AgentVersion) -> "AgentVersionView":
        return cls(one.version, rfc3339(one.saved_at), one.changed)


class MissingView(Struct):
    """What the agent should use, and does not. `kind` is tool, mcp_server, knowledge or model."""

    kind: str
    name: str
    why: str

    @classmethod
    def of(cls, one: Missing) -> "MissingView":
        return cls(one.kind, one.name, one.why)


class RollBackBody(Struct):
    """`name` is for an agent whose old name another one has by now."""

    version: Annotated[int, Meta(ge=1, le=NEWEST)]
    name: str | None = None


class RolledBackView(Struct):
    """The agent as it is now, and what of that version is not to be had any more, by id."""

    agent: AgentView
    missing: list[MissingView]

    @classmethod
    def of(cls, done: RolledBack) -> "RolledBackView":
        return cls(AgentView.of(done.agent), [MissingView.of(one) for one in done.missing])


@get("/agent/{agent_id:str}/versions", summary="The kept versions of an agent, newest first", tags=TAGS)
@inject
async def list_agent_versions(
    agent_id: FromPath[str],
    caller: FromDishka[Caller],
    listed: FromDishka[ListAgentVersions],
    limit: Limit = None,
    cursor: Cursor = None,
) -> PageEnvelope[AgentVersionView]:
    wanted = AgentId(from_path("agent", agent_id))
    return page_of(await listed(caller.user_id, wanted, Window.parse(limit, cursor)), AgentVersionView.of)


@get("/agent/{agent_id:str}/versions/{version:str}", summary="An agent as it was at a version", tags=TAGS)
@inject
async def show_agent_version(
    agent_id: FromPath[str], version: FromPath[str], caller: FromDishka[Caller], show: FromDishka[ShowAgentVersion]
) -> Envelope[AgentView]:
    wanted = AgentId(from_path("agent", agent_id))
    return ok(AgentView.of(await show(caller.user_id, wanted, _number(version))))


@post(
    "/agent/{agent_id:str}/rollback",
    status_code=200,
    summary="Make what an agent was its newest version",
    tags=TAGS,
)
@inject
async def roll_back_agent(
    agent_id: FromPath[str],
    data: JSONBody[RollBackBody],
    caller: FromDishka[Caller],
    roll_back: FromDishka[RollBackAgent],
) -> Envelope[RolledBackView]:
    wanted = AgentId(from_path("agent", agent_id))
    return ok(RolledBackView.of(await roll_back(caller.user_id, wanted, data.version, data.name)))


def _number(raw: str) -> int:
    """What can't be the number of a version is not found."""
    if not (raw.isascii() and raw.isdecimal() and len(raw) <= len(str(NEWEST)) and int(raw) <= NEWEST):
        raise NotFound("agent_version", raw)
    return int(raw)


agent_version_handlers: list[HTTPRouteHandler] = [list_agent_versions, show_agent_version, roll_back_agent]
