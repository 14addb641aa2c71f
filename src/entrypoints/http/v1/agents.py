"""Agents over HTTP."""

from dishka.integrations.litestar import FromDishka, inject
from litestar import delete, get, post, put
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Struct

from application.agents.agents import ChangeAgent, CreateAgent, DeleteAgent, ListAgents, SearchAgents, ShowAgent
from application.paging import Window
from domain.agents.agents import Agent, AgentDraft
from domain.ids import AgentId, ModelId, ToolId
from entrypoints.http.auth import Caller
from entrypoints.http.envelope import Envelope, PageEnvelope, ok, page_of, rfc3339
from entrypoints.http.identifiers import Cursor, Identifier, Limit, from_path, of_delete


class AgentView(Struct):
    """`user_id` is null and `is_custom` false for a built-in agent."""

    agent_id: str
    id: str
    name: str
    description: str
    logo_url: str
    system_prompt: str
    llm_id: str
    tool_ids: tuple[ToolId, ...]
    mcp_ids: tuple[str, ...]
    knowledge_ids: tuple[str, ...]
    enable_memory: bool
    user_id: str | None
    is_custom: bool
    version: int
    require_approval: tuple[str, ...]
    create_time: str
    update_time: str

    @classmethod
    def of(cls, agent: Agent) -> "AgentView":
        return cls(
            agent.agent_id,
            agent.agent_id,
            agent.name,
            agent.description,
            agent.logo_url,
            agent.system_prompt,
            agent.llm_id or "",
            agent.tool_ids,
            agent.mcp_ids,
            agent.knowledge_ids,
            agent.enable_memory,
            agent.user_id,
            agent.is_custom,
            agent.version,
            agent.require_approval,
            rfc3339(agent.created_at),
            rfc3339(agent.updated_at),
        )


class AgentFields(Struct, kw_only=True):
    """What may be said of an agent. `llm_id` "" takes the default model; null is as good as leaving the field out.

    `require_approval` names those of `tool_ids` and `mcp_ids` whose calls wait for a person.
    """

    description: str | None = None
    logo_url: str | None = None
    system_prompt: str | None = None
    llm_id: str | None = None
    tool_ids: list[str] | None = None
    mcp_ids: list[str] | None = None
    knowledge_ids: list[str] | None = None
    enable_memory: bool | None = None
    require_approval: list[str] | None = None

    def draft(self, name: str | None) -> AgentDraft:
        return AgentDraft(
            name=name,
            description=self.description,
            logo_url=self.logo_url,
            system_prompt=self.system_prompt,
            llm_id=None if self.llm_id is None else ModelId(self.llm_id),
            tool_ids=None if self.tool_ids is None else tuple(map(ToolId, self.tool_ids)),
            mcp_ids=None if self.mcp_ids is None else tuple(self.mcp_ids),
            knowledge_ids=None if self.knowledge_ids is None else tuple(self.knowledge_ids),
            enable_memory=self.enable_memory,
            require_approval=None if self.require_approval is None else tuple(self.require_approval),
        )


class CreateAgentBody(AgentFields, kw_only=True):
    name: str


class ChangeAgentBody(AgentFields, kw_only=True):
    """Changes only the fields that are present and not null. With `version`, only if nobody changed it since."""

    agent_id: Identifier
    name: str | None = None
    version: int | None = None


class AgentIdBody(Struct):
    agent_id: Identifier | None = None


class SearchAgentsBody(Struct):
    """Words are taken as they are: % and _ mean themselves."""

    name: str


@post("/agent", status_code=200, summary="Make an agent", tags=["agents"])
@inject
async def create_agent(
    data: JSONBody[CreateAgentBody], caller: FromDishka[Caller], create: FromDishka[CreateAgent]
) -> Envelope[AgentView]:
    return ok(AgentView.of(await create(caller.user_id, data.draft(data.name))))


@get("/agent", summary="The caller's agents and the built-in ones, newest first", tags=["agents"])
@inject
async def list_agents(
    caller: FromDishka[Caller], listed: FromDishka[ListAgents], limit: Limit = None, cursor: Cursor = None
) -> PageEnvelope[AgentView]:
    return page_of(await listed(caller.user_id, Window.parse(limit, cursor)), AgentView.of)


@get("/agent/{agent_id:str}", summary="One agent", tags=["agents"])
@inject
async def show_agent(
    agent_id: FromPath[str], caller: FromDishka[Caller], show: FromDishka[ShowAgent]
) -> Envelope[AgentView]:
    return ok(AgentView.of(await show(caller.user_id, AgentId(from_path("agent", agent_id)))))


@put("/agent", summary="Change the fields of an agent that are present", tags=["agents"])
@inject
async def change_agent(
    data: JSONBody[ChangeAgentBody], caller: FromDishka[Caller], change: FromDishka[ChangeAgent]
) -> Envelope[AgentView]:
    agent_id = AgentId(data.agent_id)
    changed = await change(caller.user_id, agent_id, data.draft(data.name), expected_version=data.version)
    return ok(AgentView.of(changed))


@delete("/agent", status_code=200, summary="Remove an agent; its dialogs stay readable", tags=["agents"])
@inject
async def delete_agent(
    caller: FromDishka[Caller],
    remove: FromDishka[DeleteAgent],
    data: JSONBody[AgentIdBody | None] = None,
    agent_id: FromQuery[str | None] = None,
) -> Envelope[None]:
    await remove(caller.user_id, AgentId(of_delete("agent", data.agent_id if data else None, agent_id)))
    return ok(None)


@post(
    "/agent/search", status_code=200, summary="Agents whose name holds the words, whatever their case", tags=["agents"]
)
@inject
async def search_agents(
    data: JSONBody[SearchAgentsBody],
    caller: FromDishka[Caller],
    search: FromDishka[SearchAgents],
    limit: Limit = None,
    cursor: Cursor = None,
) -> PageEnvelope[AgentView]:
    return page_of(await search(caller.user_id, data.name, Window.parse(limit, cursor)), AgentView.of)


agent_handlers: list[HTTPRouteHandler] = [
    create_agent,
    list_agents,
    show_agent,
    change_agent,
    delete_agent,
    search_agents,
]
