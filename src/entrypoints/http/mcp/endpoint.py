"""`/mcp`: each request is whole in itself, so that any process answers it. There is no stream of the server's own."""

import secrets
from typing import Any, Final

from dishka.integrations.litestar import FromDishka, inject
from litestar import Request, Router, post
from litestar.middleware import DefineMiddleware
from litestar.openapi.datastructures import ResponseSpec
from litestar.types import ASGIApp

from entrypoints.http.auth import Caller, RequireCaller
from entrypoints.http.errors import FRAMEWORK, Refusal, Refused
from entrypoints.http.http_config import HttpConfig
from entrypoints.http.mcp import messages
from entrypoints.http.mcp.messages import INVALID_PARAMS, METHOD_NOT_FOUND, Message, RequestId, RpcError
from entrypoints.http.mcp.origins import RefuseForeignOrigins, origin_of
from entrypoints.http.mcp.shared_tools import Asked, SharedTools
from entrypoints.http.mcp.streams import Document
from entrypoints.http.mcp.tools import TOOLS
from entrypoints.http.mcp.versions import SUPPORTED, Spoken, settled

INSTRUCTIONS: Final = (
    "The agents of one person. list_agents shows them; search_knowledge finds passages of documents; ask_agent lets an "
    "agent answer."
)
_CAPABILITIES: Final = {"tools": {"listChanged": False}}
_STREAM: Final = {"text/event-stream", "text/*", "*/*"}
_JSON: Final = {"application/json", "application/*", "*/*"}


def mcp_router(config: HttpConfig) -> Router:
    own = (origin_of(config.public_url),) if config.public_url else ()
    guard = DefineMiddleware(RefuseForeignOrigins, allowed=(*config.cors_origins, *own))
    return Router("/", route_handlers=[serve_mcp], middleware=[guard, RequireCaller])


@post(
    "/mcp",
    status_code=200,
    summary="The caller's agents as tools, over the Model Context Protocol",
    tags=["mcp"],
    for_people=True,
    responses={
        200: ResponseSpec(
            str,
            generate_examples=False,
            media_type="application/json",
            description="A JSON-RPC response. For an answer that takes a while, a stream of events that ends with it.",
        )
    },
)
@inject
async def serve_mcp(
    request: Request[Any, Any, Any],
    caller: FromDishka[Caller],
    tools: FromDishka[SharedTools],
    config: FromDishka[HttpConfig],
) -> ASGIApp:
    streams = _check_media_types(request)
    spoken: Spoken | None = None
    message: Message | None = None
    try:
        spoken = Spoken.of(request.scope["headers"])
        message = messages.read(await request.body())
        spoken.check(message)
        if message.request_id is None or not message.method:
            await _note(message, spoken, caller, tools)
            return Document(None, 202)
        asked = Asked(caller.user_id, spoken, message, message.request_id, streams, config.heartbeat_seconds)
        return await _answered(asked, tools, config.version)
    except RpcError as problem:
        request_id = message.request_id if message else problem.request_id
        status = spoken.status_of(problem.code) if spoken else 400
        return Document(messages.error(request_id, problem.code, problem.message, problem.data), status)


async def _answered(asked: Asked, tools: SharedTools, version: str) -> ASGIApp:
    method, alone = asked.message.method, asked.spoken.alone
    match method:
        case "tools/call":
            return await tools.call(asked)
        case "tools/list":
            if asked.message.params.get("cursor") is not None:
                raise RpcError(INVALID_PARAMS, "There is one page of tools only.")
            return _listed(asked.request_id, asked.spoken)
        case "initialize" if not alone:
            return _initialized(asked, version)
        case "ping" if not alone:
            return asked.shown({})
        case "server/discover" if alone:
            shown = {"supportedVersions": list(SUPPORTED), "capabilities": _CAPABILITIES, "instructions": INSTRUCTIONS}
            meta = {"_meta": {"io.modelcontextprotocol/serverInfo": _server(version)}}
            found = asked.spoken.result({**shown, **meta}, cached=True)
            return Document(messages.result(asked.request_id, found))
        case _:
            raise RpcError(METHOD_NOT_FOUND, f"There is no method {method[:64]!r} here.")


def _listed(request_id: RequestId, spoken: Spoken) -> ASGIApp:
    return Document(messages.result(request_id, spoken.result({"tools": TOOLS}, cached=True)))


def _initialized(asked: Asked, version: str) -> ASGIApp:
    """The session is a name that the client uses from then on; nothing is kept under it."""
    shown = {
        "protocolVersion": settled(asked.message.params.get("protocolVersion")),
        "capabilities": _CAPABILITIES,
        "serverInfo": _server(version),
        "instructions": INSTRUCTIONS,
    }
    session = (b"mcp-session-id", secrets.token_hex(16).encode())
    return Document(messages.result(asked.request_id, shown), headers=(session,))


async def _note(message: Message, spoken: Spoken, caller: Caller, tools: SharedTools) -> None:
    if message.method == "notifications/cancelled" and not spoken.alone:
        request_id = message.params.get("requestId")
        if messages.is_id(request_id):
            await tools.cancelled(caller.user_id, spoken.session, request_id)


def _server(version: str) -> dict[str, str]:
    return {"name": "agentchat", "version": version}


def _check_media_types(request: Request[Any, Any, Any]) -> bool:
    """Whether the client takes a stream of events. Raises Refused."""
    if request.headers.get("content-type", "").split(";", 1)[0].strip().lower() != "application/json":
        raise Refused(Refusal(415, *FRAMEWORK[415]))
    wanted = {one.split(";", 1)[0].strip().lower() for one in request.headers.get("accept", "*/*").split(",")}
    if wanted.isdisjoint(_STREAM | _JSON):
        raise Refused(Refusal(406, "not_acceptable", "Accept application/json and text/event-stream."))
    return not wanted.isdisjoint(_STREAM)
