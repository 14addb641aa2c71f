"""Tools over HTTP."""

import asyncio
from typing import Any, Final, Literal, cast

import msgspec
from dishka.integrations.litestar import FromDishka, inject
from litestar import delete, get, post, put
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import UNSET, Struct, UnsetType

from application.paging import Page, Window
from application.tools.tools import ChangeTool, CreateTool, DeleteTool, ListOwnTools, ListTools, ShowTool, Tool
from domain.errors import InvalidValue
from domain.ids import ToolId
from domain.tools.user_tools import ApiDocument, AuthDraft, AuthType, BuiltInTool, ToolDraft, UserTool
from entrypoints.http.auth import Caller
from entrypoints.http.envelope import Envelope, PageEnvelope, ok, page, page_of, rfc3339
from entrypoints.http.identifiers import Cursor, Identifier, Limit, from_path, of_delete

TAGS: Final = ["tools"]
NOBODY: Final = "0"
"""The `user_id` of built-in tools."""
SMALL: Final = 256 * 1024
"""Characters of documents."""
_encode: Final = msgspec.json.Encoder().encode


class ToolView(Struct):
    """`executable` is false for a tool without `openapi_schema`, which no model is offered.

    Of `auth_config` nothing but the `auth_type` is shown. A built-in tool has the `user_id` "0".
    """

    tool_id: str
    id: str
    zh_name: str
    en_name: str
    name: str
    display_name: str
    description: str
    logo_url: str
    user_id: str
    is_user_defined: bool
    executable: bool
    openapi_schema: dict[str, Any] | str | None
    auth_type: str | None
    create_time: str
    update_time: str

    @classmethod
    def of(cls, tool: Tool) -> "ToolView":
        return cls(
            tool.tool_id,
            tool.tool_id,
            tool.zh_name,
            tool.en_name,
            tool.en_name,
            tool.zh_name,
            tool.description,
            *(_builtin(tool) if isinstance(tool, BuiltInTool) else _own(tool)),
        )


def _builtin(tool: BuiltInTool) -> tuple[Any, ...]:
    made = rfc3339(tool.created_at)
    return "", NOBODY, False, True, None, None, made, made


def _own(tool: UserTool) -> tuple[Any, ...]:
    document = tool.document
    # What came as an object is JSON already.
    schema = document and (msgspec.Raw(document.text.encode()) if document.is_object else document.text)
    auth = tool.auth and tool.auth.type.value
    times = rfc3339(tool.created_at), rfc3339(tool.updated_at)
    return tool.logo_url, tool.user_id, True, tool.is_executable, schema, auth, *times


async def _page(found: Page[Any]) -> PageEnvelope[ToolView]:
    """Documents may be 20 MB together: those are written in a thread, one after the other, so that nobody waits."""
    if sum(one.size for one in found.items if isinstance(one, UserTool)) <= SMALL:
        return page_of(found, ToolView.of)
    written = await asyncio.to_thread(lambda: [msgspec.Raw(_encode(ToolView.of(one))) for one in found.items])
    return page(cast(list[ToolView], written), found.next_cursor)


class AuthBody(Struct, kw_only=True):
    """Bearer: `token`. Basic: `username`, `password`. APIKey: `in`, `name`, `value`. Header: `name`, `value`."""

    auth_type: Literal["Bearer", "Basic", "APIKey", "Header"]
    token: str | None = None
    username: str | None = None
    password: str | None = None
    place: Literal["header", "query"] | None = msgspec.field(default=None, name="in")
    name: str | None = None
    value: str | None = None

    def draft(self) -> AuthDraft:
        return AuthDraft(
            AuthType(self.auth_type), self.token, self.username, self.password, self.place, self.name, self.value
        )


class ToolFields(Struct, kw_only=True):
    """What may be said of a tool. `openapi_schema` is OpenAPI 3.0 or 3.1, as an object or as text (JSON, YAML).

    null removes `openapi_schema` and `auth_config`, and leaves every other field as it is.
    """

    zh_name: str | None = None
    en_name: str | None = None
    description: str | None = None
    logo_url: str | None = None
    openapi_schema: dict[str, Any] | str | UnsetType | None = UNSET
    auth_config: AuthBody | UnsetType | None = UNSET

    def draft(self) -> ToolDraft:
        return ToolDraft(
            zh_name=self.zh_name,
            en_name=self.en_name,
            description=self.description,
            logo_url=self.logo_url,
            document=_document(self.openapi_schema),
            auth=self.auth_config.draft() if isinstance(self.auth_config, AuthBody) else None,
            no_auth=self.auth_config is None,
        )


def _document(said: dict[str, Any] | str | UnsetType | None) -> ApiDocument | None:
    if said is UNSET:
        return None
    if isinstance(said, dict):
        try:
            return ApiDocument(msgspec.json.encode(said).decode(), is_object=True)
        except RecursionError as error:
            raise InvalidValue("openapi_schema", "is nested too deeply") from error
    return ApiDocument(said or "")


class CreateToolBody(ToolFields, kw_only=True):
    """A name is required, `zh_name` or `en_name`: each serves as the other."""


class ChangeToolBody(ToolFields, kw_only=True):
    """Changes only the fields that are present."""

    tool_id: Identifier


class ToolIdBody(Struct):
    tool_id: Identifier | None = None


@post("/tool/create", status_code=200, summary="Make a tool", tags=TAGS)
@inject
async def create_tool(
    data: JSONBody[CreateToolBody], caller: FromDishka[Caller], create: FromDishka[CreateTool]
) -> Envelope[ToolView]:
    return ok(ToolView.of(await create(caller.user_id, data.draft())))


@get("/tool/all", summary="The caller's tools and the built-in ones, newest first", tags=TAGS)
@inject
async def list_tools(
    caller: FromDishka[Caller], listed: FromDishka[ListTools], limit: Limit = None, cursor: Cursor = None
) -> PageEnvelope[ToolView]:
    return await _page(await listed(caller.user_id, Window.parse(limit, cursor)))


@post("/tool/visible", status_code=200, summary="The tools that an agent of the caller may carry", tags=TAGS)
@inject
async def list_visible_tools(
    caller: FromDishka[Caller], listed: FromDishka[ListTools], limit: Limit = None, cursor: Cursor = None
) -> PageEnvelope[ToolView]:
    return await _page(await listed(caller.user_id, Window.parse(limit, cursor)))


@post("/tool/own", status_code=200, summary="The caller's tools, newest first", tags=TAGS)
@inject
async def list_own_tools(
    caller: FromDishka[Caller], listed: FromDishka[ListOwnTools], limit: Limit = None, cursor: Cursor = None
) -> PageEnvelope[ToolView]:
    return await _page(await listed(caller.user_id, Window.parse(limit, cursor)))


@get("/tool/{tool_id:str}", summary="One tool", tags=TAGS)
@inject
async def show_tool(
    tool_id: FromPath[str], caller: FromDishka[Caller], show: FromDishka[ShowTool]
) -> Envelope[ToolView]:
    return ok(ToolView.of(await show(caller.user_id, ToolId(from_path("tool", tool_id)))))


@put("/tool/update", summary="Change the fields of a tool that are present", tags=TAGS)
@inject
async def change_tool(
    data: JSONBody[ChangeToolBody], caller: FromDishka[Caller], change: FromDishka[ChangeTool]
) -> Envelope[ToolView]:
    return ok(ToolView.of(await change(caller.user_id, ToolId(data.tool_id), data.draft())))


@delete("/tool/delete", status_code=200, summary="Remove a tool, also from agents", tags=TAGS)
@inject
async def delete_tool(
    caller: FromDishka[Caller],
    remove: FromDishka[DeleteTool],
    data: JSONBody[ToolIdBody | None] = None,
    tool_id: FromQuery[str | None] = None,
) -> Envelope[None]:
    await remove(caller.user_id, ToolId(of_delete("tool", data.tool_id if data else None, tool_id)))
    return ok(None)


tool_handlers: list[HTTPRouteHandler] = [
    create_tool,
    list_tools,
    list_visible_tools,
    list_own_tools,
    show_tool,
    change_tool,
    delete_tool,
]
