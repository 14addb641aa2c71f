"""Models over HTTP. A model's key never comes near this module."""

from typing import Annotated, Any, Literal

import msgspec
from dishka.integrations.litestar import FromDishka, inject
from litestar import get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from application.models import ListModels, ListOwnModels, SearchModels, ShowModel
from domain.ids import ModelId
from domain.models import ModelKind, ModelSpec, Provider
from entrypoints.http.auth import Caller
from entrypoints.http.envelope import Envelope, PageEnvelope, ok, page
from entrypoints.http.identifiers import from_path


class ModelView(Struct):
    """`reason` says what to set when the model is not `available`. `user_id` is null for the system's models."""

    llm_id: str
    id: str
    model: str
    provider: str
    llm_type: str
    base_url: str | None
    available: bool
    reason: str | None
    context_window: int
    max_output_tokens: int | None
    vision: bool
    tools: bool
    fallbacks: tuple[ModelId, ...]
    user_id: str | None

    @classmethod
    def of(cls, spec: ModelSpec) -> "ModelView":
        return cls(
            spec.llm_id,
            spec.llm_id,
            spec.model,
            spec.provider,
            spec.kind,
            spec.base_url,
            spec.available,
            spec.unavailable_reason,
            spec.context_window,
            spec.max_output_tokens,
            spec.vision,
            spec.tools,
            spec.fallbacks,
            None,
        )


class OwnModel(Struct, kw_only=True):
    """A model of the user's own."""

    model: Annotated[str, Meta(description="The model's name at the provider", min_length=1, max_length=128)]
    provider: Annotated[
        Literal["openai", "anthropic", "openai_compatible"], Meta(description="Whose protocol the model speaks")
    ]
    base_url: Annotated[str | None, Meta(description="Needed for openai_compatible; else the vendor's own")] = None
    api_key: Annotated[str, Meta(description="Kept encrypted, and never shown again", min_length=1, max_length=1024)]
    llm_type: ModelKind = ModelKind.LLM


class ModelSchemaView(Struct):
    """`fields` is the JSON Schema of what POST /llm/create takes."""

    providers: list[str]
    llm_types: list[str]
    fields: dict[str, Any]


class SearchModelsBody(Struct):
    llm_name: str


_SCHEMA = ModelSchemaView(
    [one for one in Provider if one is not Provider.OFFLINE],
    list(ModelKind),
    msgspec.json.schema(OwnModel),
)


@get("/llm/all", summary="Every model", tags=["models"])
@inject
async def list_models(caller: FromDishka[Caller], listed: FromDishka[ListModels]) -> PageEnvelope[ModelView]:
    return page(map(ModelView.of, await listed(caller.user_id)))


@post("/llm/visible", status_code=200, summary="The models that the caller may use", tags=["models"])
@inject
async def list_visible_models(caller: FromDishka[Caller], listed: FromDishka[ListModels]) -> PageEnvelope[ModelView]:
    return page(map(ModelView.of, await listed(caller.user_id)))


@post("/llm/personal", status_code=200, summary="The caller's own models", tags=["models"])
@inject
async def list_own_models(caller: FromDishka[Caller], listed: FromDishka[ListOwnModels]) -> PageEnvelope[ModelView]:
    return page(map(ModelView.of, await listed(caller.user_id)))


@post("/llm/search", status_code=200, summary="Models whose name holds the words, whatever their case", tags=["models"])
@inject
async def search_models(
    data: JSONBody[SearchModelsBody], caller: FromDishka[Caller], search: FromDishka[SearchModels]
) -> PageEnvelope[ModelView]:
    return page(map(ModelView.of, await search(caller.user_id, data.llm_name)))


@get("/llm/schema", summary="What a model of one's own is made of", tags=["models"], sync_to_thread=False)
def model_schema() -> Envelope[ModelSchemaView]:
    return ok(_SCHEMA)


@get("/llm/{llm_id:str}", summary="One model", tags=["models"])
@inject
async def show_model(
    llm_id: FromPath[str], caller: FromDishka[Caller], show: FromDishka[ShowModel]
) -> Envelope[ModelView]:
    return ok(ModelView.of(await show(caller.user_id, ModelId(from_path("llm", llm_id)))))


model_handlers: list[HTTPRouteHandler] = [
    list_models,
    list_visible_models,
    list_own_models,
    search_models,
    model_schema,
    show_model,
]
