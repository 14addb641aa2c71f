"""MCP servers over HTTP."""

from collections.abc import Mapping
from typing import Any, Final, Literal

from dishka.integrations.litestar import FromDishka, inject
from litestar import delete, get, post, put
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Struct

from application.paging import Window
from application.ports.mcp_connections import McpTool
from application.tools.mcp_servers import (
    AskForMcpTools,
    ChangeMcpServer,
    CreateMcpServer,
    DeleteMcpServer,
    ListMcpServers,
    ShowMcpServer,
)
from domain.ids import McpServerId
from domain.tools.mcp_servers import MASK, McpDraft, McpServer, McpTransport, Pairs
from entrypoints.http.auth import Caller
from entrypoints.http.envelope import Envelope, PageEnvelope, ok, page, page_of, rfc3339
from entrypoints.http.identifiers import Cursor, Identifier, Limit, from_path, of_delete

TAGS: Final = ["mcp servers"]
Transport = Literal["streamable_http", "sse", "stdio"]


class McpServerView(Struct):
    """`tools` and `status` are what was seen when the server was last asked: "unknown", "ok", or what was wrong.

    The values of `headers` and `env` are masked; an empty one is still to be sent.
    """

    server_id: str
    mcp_server_id: str
    server_name: str
    type: str
    url: str
    description: str
    headers: dict[str, str]
    command: str
    args: tuple[str, ...]
    env: dict[str, str]
    tools: tuple[str, ...]
    status: str
    user_id: str
    create_time: str
    update_time: str

    @classmethod
    def of(cls, server: McpServer) -> "McpServerView":
        address = server.address
        return cls(
            server.server_id,
            server.server_id,
            server.name,
            address.transport.value,
            address.url,
            server.description,
            _masked(address.headers),
            address.command,
            address.args,
            _masked(address.env),
            server.tools,
            server.status,
            server.user_id,
            rfc3339(server.created_at),
            rfc3339(server.updated_at),
        )


class McpToolView(Struct):
    """`parameters` is the JSON Schema of the tool's arguments."""

    name: str
    title: str
    description: str
    parameters: dict[str, Any]

    @classmethod
    def of(cls, tool: McpTool) -> "McpToolView":
        return cls(tool.name, tool.title, tool.description, dict(tool.parameters))


class McpServerFields(Struct, kw_only=True):
    """`url` and `headers` are for streamable_http and sse; `command`, `args` and `env` for stdio.

    Of a server that is changed a masked value stands for the one that is stored, and null leaves a field as it is.
    """

    description: str | None = None
    url: str | None = None
    headers: dict[str, str] | None = None
    command: str | None = None
    args: list[str] | None = None
    env: dict[str, str] | None = None

    def draft(self, name: str | None, transport: Transport | None) -> McpDraft:
        return McpDraft(
            name=name,
            description=self.description,
            transport=None if transport is None else McpTransport(transport),
            url=self.url,
            headers=_pairs(self.headers),
            command=self.command,
            args=None if self.args is None else tuple(self.args),
            env=_pairs(self.env),
        )


class CreateMcpServerBody(McpServerFields, kw_only=True):
    server_name: str
    type: Transport


class ChangeMcpServerBody(McpServerFields, kw_only=True):
    """Changes only the fields that are present and not null."""

    server_id: Identifier
    server_name: str | None = None
    type: Transport | None = None


class McpServerIdBody(Struct):
    server_id: Identifier | None = None


@post("/mcp_server", status_code=200, summary="Register an MCP server", tags=TAGS)
@inject
async def create_mcp_server(
    data: JSONBody[CreateMcpServerBody], caller: FromDishka[Caller], create: FromDishka[CreateMcpServer]
) -> Envelope[McpServerView]:
    return ok(McpServerView.of(await create(caller.user_id, data.draft(data.server_name, data.type))))


@get("/mcp_server", summary="The caller's MCP servers, newest first", tags=TAGS)
@inject
async def list_mcp_servers(
    caller: FromDishka[Caller], listed: FromDishka[ListMcpServers], limit: Limit = None, cursor: Cursor = None
) -> PageEnvelope[McpServerView]:
    return page_of(await listed(caller.user_id, Window.parse(limit, cursor)), McpServerView.of)


@get("/mcp_server/{server_id:str}", summary="One MCP server", tags=TAGS)
@inject
async def show_mcp_server(
    server_id: FromPath[str], caller: FromDishka[Caller], show: FromDishka[ShowMcpServer]
) -> Envelope[McpServerView]:
    wanted = McpServerId(from_path("mcp_server", server_id))
    return ok(McpServerView.of(await show(caller.user_id, wanted)))


@put("/mcp_server", summary="Change the fields of an MCP server that are present", tags=TAGS)
@inject
async def change_mcp_server(
    data: JSONBody[ChangeMcpServerBody], caller: FromDishka[Caller], change: FromDishka[ChangeMcpServer]
) -> Envelope[McpServerView]:
    draft = data.draft(data.server_name, data.type)
    return ok(McpServerView.of(await change(caller.user_id, McpServerId(data.server_id), draft)))


@delete("/mcp_server", status_code=200, summary="Remove an MCP server, also from agents", tags=TAGS)
@inject
async def delete_mcp_server(
    caller: FromDishka[Caller],
    remove: FromDishka[DeleteMcpServer],
    data: JSONBody[McpServerIdBody | None] = None,
    server_id: FromQuery[str | None] = None,
) -> Envelope[None]:
    wanted = of_delete("mcp_server", data.server_id if data else None, server_id, field="server_id")
    await remove(caller.user_id, McpServerId(wanted))
    return ok(None)


@get("/mcp_tools", summary="Ask an MCP server for its tools", tags=TAGS)
@inject
async def ask_for_mcp_tools(
    server_id: FromQuery[str], caller: FromDishka[Caller], ask: FromDishka[AskForMcpTools]
) -> PageEnvelope[McpToolView]:
    tools = await ask(caller.user_id, McpServerId(from_path("mcp_server", server_id)))
    return page(map(McpToolView.of, tools))


def _pairs(said: Mapping[str, str] | None) -> Pairs | None:
    return None if said is None else tuple(said.items())


def _masked(pairs: Pairs) -> dict[str, str]:
    return {name: value and MASK for name, value in pairs}


mcp_server_handlers: list[HTTPRouteHandler] = [
    create_mcp_server,
    list_mcp_servers,
    show_mcp_server,
    change_mcp_server,
    delete_mcp_server,
    ask_for_mcp_tools,
]
