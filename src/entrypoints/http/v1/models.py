"""Models over HTTP. A model's key leaves this server for its provider alone."""

from typing import Final

from dishka.integrations.litestar import FromDishka, inject
from litestar import delete, get, post, put
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Struct

from application.asking.model_trials import TryModel
from application.models.models import ListModels, ListOwnModels, SearchModels, ShowModel
from application.models.own_models import ChangeOwnModel, CreateOwnModel, DeleteOwnModel
from application.paging import Window
from domain.ids import ModelId
from entrypoints.http.auth import Caller
from entrypoints.http.envelope import Envelope, PageEnvelope, ok, page_of
from entrypoints.http.identifiers import Cursor, Identifier, Limit, from_path, of_delete
from entrypoints.http.v1.model_views import (
    MODEL_SCHEMA,
    ModelChanges,
    ModelSchemaView,
    ModelView,
    OwnModel,
    TrialView,
)

TAGS: Final = ["models"]


class SearchModelsBody(Struct):
    llm_name: str


class ChangeModelBody(ModelChanges, kw_only=True):
    """Changes only the fields that are present."""

    llm_id: Identifier


class TryModelBody(ModelChanges, kw_only=True):
    """A model by its `llm_id`, as the other fields would change it; or the fields of a model that is not stored."""

    llm_id: Identifier | None = None


class ModelIdBody(Struct):
    llm_id: Identifier | None = None


class ModelIdView(Struct):
    llm_id: str


@post("/llm/create", status_code=200, summary="Bring a model of one's own", tags=TAGS)
@inject
async def create_model(
    data: JSONBody[OwnModel], caller: FromDishka[Caller], create: FromDishka[CreateOwnModel]
) -> Envelope[ModelIdView]:
    return ok(ModelIdView((await create(caller.user_id, data.draft())).llm_id))


@put("/llm/update", summary="Change the fields of a model that are present", tags=TAGS)
@inject
async def change_model(
    data: JSONBody[ChangeModelBody],
    caller: FromDishka[Caller],
    change: FromDishka[ChangeOwnModel],
    show: FromDishka[ShowModel],
) -> Envelope[ModelView]:
    return ok(ModelView.of(show.own(await change(caller.user_id, ModelId(data.llm_id), data.draft()))))


@delete("/llm/delete", status_code=200, summary="Remove a model; agents that had it take the default one", tags=TAGS)
@inject
async def delete_model(
    caller: FromDishka[Caller],
    remove: FromDishka[DeleteOwnModel],
    data: JSONBody[ModelIdBody | None] = None,
    llm_id: FromQuery[str | None] = None,
) -> Envelope[None]:
    await remove(caller.user_id, ModelId(of_delete("llm", data.llm_id if data else None, llm_id)))
    return ok(None)


@post("/llm/test", status_code=200, summary="Try a model, and say what is wrong with it", tags=TAGS)
@inject
async def try_model(
    data: JSONBody[TryModelBody], caller: FromDishka[Caller], attempt: FromDishka[TryModel]
) -> Envelope[TrialView]:
    wanted = None if data.llm_id is None else ModelId(data.llm_id)
    return ok(TrialView.of(await attempt(caller.user_id, wanted, data.draft())))


@get("/llm/all", summary="Every model: the caller's own, newest first, then the system's", tags=TAGS)
@inject
async def list_models(
    caller: FromDishka[Caller], listed: FromDishka[ListModels], limit: Limit = None, cursor: Cursor = None
) -> PageEnvelope[ModelView]:
    return page_of(await listed(caller.user_id, Window.parse(limit, cursor)), ModelView.of)


@post("/llm/visible", status_code=200, summary="The models that the caller may use", tags=TAGS)
@inject
async def list_visible_models(
    caller: FromDishka[Caller], listed: FromDishka[ListModels], limit: Limit = None, cursor: Cursor = None
) -> PageEnvelope[ModelView]:
    return page_of(await listed(caller.user_id, Window.parse(limit, cursor)), ModelView.of)


@post("/llm/personal", status_code=200, summary="The caller's own models, newest first", tags=TAGS)
@inject
async def list_own_models(
    caller: FromDishka[Caller], listed: FromDishka[ListOwnModels], limit: Limit = None, cursor: Cursor = None
) -> PageEnvelope[ModelView]:
    return page_of(await listed(caller.user_id, Window.parse(limit, cursor)), ModelView.of)


@post("/llm/search", status_code=200, summary="Models whose name holds the words, whatever their case", tags=TAGS)
@inject
async def search_models(
    data: JSONBody[SearchModelsBody],
    caller: FromDishka[Caller],
    search: FromDishka[SearchModels],
    limit: Limit = None,
    cursor: Cursor = None,
) -> PageEnvelope[ModelView]:
    return page_of(await search(caller.user_id, data.llm_name, Window.parse(limit, cursor)), ModelView.of)


@get("/llm/schema", summary="What a model of one's own is made of", tags=TAGS, sync_to_thread=False)
def model_schema() -> Envelope[ModelSchemaView]:
    return ok(MODEL_SCHEMA)


@get("/llm/{llm_id:str}", summary="One model", tags=TAGS)
@inject
async def show_model(
    llm_id: FromPath[str], caller: FromDishka[Caller], show: FromDishka[ShowModel]
) -> Envelope[ModelView]:
    return ok(ModelView.of(await show(caller.user_id, ModelId(from_path("llm", llm_id)))))


model_handlers: list[HTTPRouteHandler] = [
    create_model,
    change_model,
    delete_model,
    try_model,
    list_models,
    list_visible_models,
    list_own_models,
    search_models,
    model_schema,
    show_model,
]
