"""What agents remember about the caller, over HTTP."""

from typing import Annotated, Final

from dishka.integrations.litestar import FromDishka, inject
from litestar import delete, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from msgspec import Struct

from application.memory.memories import ForgetAll, ForgetMemory, ListMemories, ShowMemory
from application.paging import Window
from domain.errors import InvalidValue
from domain.ids import AgentId, MemoryId
from domain.memory.memories import Memory
from entrypoints.http.auth import Caller
from entrypoints.http.envelope import Envelope, PageEnvelope, ok, page_of, rfc3339
from entrypoints.http.identifiers import Cursor, Identifier, Limit, from_path

TAGS: Final = ["memory"]


class MemoryView(Struct):
    """`dialog_id` and `message_id` say where it was taught last, and `update_time` when."""

    memory_id: str
    id: str
    content: str
    agent_id: str
    dialog_id: str
    message_id: str
    create_time: str
    update_time: str

    @classmethod
    def of(cls, memory: Memory) -> "MemoryView":
        return cls(
            memory.memory_id,
            memory.memory_id,
            memory.content,
            memory.agent_id,
            memory.dialog_id,
            memory.message_id,
            rfc3339(memory.created_at),
            rfc3339(memory.updated_at),
        )


class ForgetBody(Struct):
    """Either `memory_id`, or `all`: true, and then of one agent where `agent_id` is given."""

    memory_id: Identifier | None = None
    all: bool = False
    agent_id: Identifier | None = None


@get("/memory", summary="What agents remember about the caller, newest first", tags=TAGS)
@inject
async def list_memories(
    caller: FromDishka[Caller],
    listed: FromDishka[ListMemories],
    agent_id: Annotated[str | None, QueryParameter(description="Of this agent alone")] = None,
    limit: Limit = None,
    cursor: Cursor = None,
) -> PageEnvelope[MemoryView]:
    agent = AgentId(from_path("agent", agent_id)) if agent_id else None
    return page_of(await listed(caller.user_id, agent, Window.parse(limit, cursor)), MemoryView.of)


@get("/memory/{memory_id:str}", summary="One memory", tags=TAGS)
@inject
async def show_memory(
    memory_id: FromPath[str], caller: FromDishka[Caller], show: FromDishka[ShowMemory]
) -> Envelope[MemoryView]:
    return ok(MemoryView.of(await show(caller.user_id, MemoryId(from_path("memory", memory_id)))))


@delete("/memory", status_code=200, summary="Let agents forget one thing, or all", tags=TAGS)
@inject
async def forget(
    caller: FromDishka[Caller],
    forget_one: FromDishka[ForgetMemory],
    forget_all: FromDishka[ForgetAll],
    data: JSONBody[ForgetBody | None] = None,
    memory_id: FromQuery[str | None] = None,
) -> Envelope[None]:
    wanted = data or ForgetBody()
    if memory_id and wanted.memory_id and memory_id != wanted.memory_id:
        raise InvalidValue("memory_id", "is one in the body and another in the query: name one")
    one = wanted.memory_id or memory_id
    if wanted.all == bool(one):
        both = "either memory_id or all, not both" if one else 'memory_id, or {"all": true} to forget everything'
        raise InvalidValue("memory_id", f"give {both}")
    if one and wanted.agent_id:
        raise InvalidValue("agent_id", "goes with all: a memory_id says enough")
    if one:
        await forget_one(caller.user_id, MemoryId(from_path("memory", one)))
    else:
        await forget_all(caller.user_id, AgentId(wanted.agent_id) if wanted.agent_id else None)
    return ok(None)


memory_handlers: list[HTTPRouteHandler] = [list_memories, show_memory, forget]
