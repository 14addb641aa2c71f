"""API keys over HTTP."""

from datetime import datetime
from typing import Annotated, Final

from dishka.integrations.litestar import FromDishka, inject
from litestar import delete, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Meta, Struct

from application.accounts.api_keys import CreateApiKey, DeleteApiKey, ListApiKeys, ShowApiKey
from application.paging import Window
from domain.accounts.users import ApiKey
from domain.ids import ApiKeyId
from entrypoints.http.auth import Caller
from entrypoints.http.envelope import Envelope, PageEnvelope, ok, page_of, rfc3339
from entrypoints.http.identifiers import Cursor, Limit, from_path, of_delete

TAGS: Final = ["api keys"]


class CreateApiKeyBody(Struct):
    name: str
    expires_at: Annotated[datetime, Meta(tz=True)] | None = None


class ApiKeyIdBody(Struct):
    api_key_id: str | None = None


class NewApiKeyView(Struct):
    """`api_key` is shown this once."""

    api_key_id: str
    api_key: str
    name: str
    create_time: str
    expires_at: str | None

    @classmethod
    def of(cls, key: ApiKey, secret: str) -> "NewApiKeyView":
        return cls(key.api_key_id, secret, key.name, rfc3339(key.created_at), _moment(key.expires_at))


class ApiKeyView(Struct):
    """`hint` tells keys apart: the key's last four characters."""

    api_key_id: str
    name: str
    hint: str
    create_time: str
    expires_at: str | None

    @classmethod
    def of(cls, key: ApiKey) -> "ApiKeyView":
        return cls(key.api_key_id, key.name, f"ak_…{key.hint}", rfc3339(key.created_at), _moment(key.expires_at))


def _moment(at: datetime | None) -> str | None:
    return None if at is None else rfc3339(at)


@post(
    "/api_key",
    status_code=200,
    summary="Make a key for a program; it is shown once",
    tags=TAGS,
    response_headers={"Cache-Control": "no-store"},
)
@inject
async def create_api_key(
    data: JSONBody[CreateApiKeyBody], caller: FromDishka[Caller], create: FromDishka[CreateApiKey]
) -> Envelope[NewApiKeyView]:
    return ok(NewApiKeyView.of(*await create(caller, data.name, data.expires_at)))


@get("/api_key", summary="The caller's keys, newest first", tags=TAGS)
@inject
async def list_api_keys(
    caller: FromDishka[Caller], listed: FromDishka[ListApiKeys], limit: Limit = None, cursor: Cursor = None
) -> PageEnvelope[ApiKeyView]:
    return page_of(await listed(caller.user_id, Window.parse(limit, cursor)), ApiKeyView.of)


@get("/api_key/{api_key_id:str}", summary="One key", tags=TAGS)
@inject
async def show_api_key(
    api_key_id: FromPath[str], caller: FromDishka[Caller], show: FromDishka[ShowApiKey]
) -> Envelope[ApiKeyView]:
    return ok(ApiKeyView.of(await show(caller.user_id, ApiKeyId(from_path("api_key", api_key_id)))))


@delete("/api_key", status_code=200, summary="Delete a key; it stops working at once", tags=TAGS)
@inject
async def delete_api_key(
    caller: FromDishka[Caller],
    remove: FromDishka[DeleteApiKey],
    data: JSONBody[ApiKeyIdBody | None] = None,
    api_key_id: FromQuery[str | None] = None,
) -> Envelope[None]:
    await remove(caller.user_id, ApiKeyId(of_delete("api_key", data.api_key_id if data else None, api_key_id)))
    return ok(None)


api_key_handlers: list[HTTPRouteHandler] = [create_api_key, list_api_keys, show_api_key, delete_api_key]
