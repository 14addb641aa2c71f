"""How models are shown and described over HTTP. Of a key no more than a mask comes here."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from application.asking.model_trials import Trial
from application.models.models import ShownModel
from domain.ids import ModelId
from domain.models.models import ModelKind, ModelSpec, Prices, Provider
from domain.models.own_models import KEY_MAX, NAME_MAX, ModelDraft
from entrypoints.http.envelope import rfc3339
from entrypoints.http.identifiers import Identifier

Kind = Annotated[Literal["LLM", "Embedding"], Meta(description="Knowledge bases use the server's own embedder")]
ProviderName = Annotated[
    Literal["openai", "anthropic", "openai_compatible"], Meta(description="Whose protocol the model speaks")
]
Name = Annotated[str, Meta(description="The model's name at the provider", min_length=1, max_length=NAME_MAX)]
Key = Annotated[str, Meta(description="Kept encrypted, and never shown again", max_length=KEY_MAX)]
BaseUrl = Annotated[str | None, Meta(description="Needed for openai_compatible; null is the vendor's own")]
Tokens = Annotated[int, Meta(ge=1, le=100_000_000)]
Count = Annotated[int, Meta(ge=1, le=1_000_000)]
Price = Annotated[float, Meta(ge=0, le=1_000_000)]


class PricesBody(Struct):
    """Of a million tokens."""

    input: Price
    output: Price
    cached_input: Price | None = None
    currency: Annotated[str, Meta(min_length=3, max_length=3)] = "USD"

    @classmethod
    def of(cls, prices: Prices | None) -> "PricesBody | None":
        return None if prices is None else cls(prices.input, prices.output, prices.cached_input, prices.currency)

    def prices(self) -> Prices:
        return Prices(self.input, self.output, self.cached_input, self.currency)


class ModelView(Struct):
    """`reason` says what to do when the model is not `available`. `user_id` is null for the system's models.

    A model of the caller's own has an `api_key`, masked.
    """

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
    prices: PricesBody | None
    fallbacks: tuple[ModelId, ...]
    max_concurrent: int | None
    requests_a_minute: int | None
    user_id: str | None
    api_key: str | UnsetType = UNSET
    create_time: str | UnsetType = UNSET
    update_time: str | UnsetType = UNSET

    @classmethod
    def of(cls, shown: ShownModel) -> "ModelView":
        view = _plain(shown.spec)
        if shown.api_key is not None and shown.updated_at is not None:
            view.api_key = shown.api_key
            view.create_time, view.update_time = rfc3339(shown.position.created_at), rfc3339(shown.updated_at)
        return view


def _plain(spec: ModelSpec) -> ModelView:
    return ModelView(
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
        PricesBody.of(spec.prices),
        spec.fallbacks,
        spec.max_concurrent,
        spec.requests_a_minute,
        spec.owner,
    )


class ModelOptions(Struct, kw_only=True):
    """What a model can do, and what it may. null takes a limit, the prices or the base_url away."""

    base_url: BaseUrl | UnsetType = UNSET
    context_window: Tokens | UnsetType = UNSET
    max_output_tokens: Tokens | UnsetType | None = UNSET
    vision: bool | UnsetType = UNSET
    tools: bool | UnsetType = UNSET
    prices: PricesBody | UnsetType | None = UNSET
    fallbacks: list[Identifier] | UnsetType = UNSET
    max_concurrent: Count | UnsetType | None = UNSET
    requests_a_minute: Count | UnsetType | None = UNSET

    def said(self, **known: Any) -> ModelDraft:
        """A draft of these and of what is `known` besides."""
        given = {name: getattr(self, name) for name in ModelOptions.__struct_fields__}
        cleared = frozenset(name for name, value in given.items() if value is None)
        kept = {name: value for name, value in given.items() if value is not None and value is not UNSET}
        if isinstance(self.prices, PricesBody):
            kept["prices"] = self.prices.prices()
        if isinstance(self.fallbacks, list):
            kept["fallbacks"] = tuple(map(ModelId, self.fallbacks))
        return ModelDraft(**kept, **known, cleared=cleared)


class OwnModel(ModelOptions, kw_only=True):
    """A model of the user's own. A server that speaks OpenAI's protocol may need no key: then it is ""."""

    model: Name
    provider: ProviderName
    api_key: Key
    llm_type: Kind = "LLM"

    def draft(self) -> ModelDraft:
        return self.said(
            model=self.model,
            provider=Provider(self.provider),
            api_key=self.api_key,
            kind=ModelKind(self.llm_type),
        )


class ModelChanges(ModelOptions, kw_only=True):
    """What is absent stays as it is, and so does a key that comes as it is shown."""

    model: Name | None = None
    provider: ProviderName | None = None
    api_key: Key | None = None
    llm_type: Kind | None = None

    def draft(self) -> ModelDraft:
        return self.said(
            model=self.model,
            provider=None if self.provider is None else Provider(self.provider),
            api_key=self.api_key,
            kind=None if self.llm_type is None else ModelKind(self.llm_type),
        )


class TrialView(Struct):
    """`answer` are the model's words; or `code` and `message` say what is wrong, and `advice` what to do."""

    ok: bool
    latency_ms: int
    answer: str | None
    code: str | None
    message: str | None
    advice: str | None

    @classmethod
    def of(cls, trial: Trial) -> "TrialView":
        wrong = trial.code or None, trial.message or None, trial.advice or None
        return cls(trial.ok, trial.latency_ms, trial.said if trial.ok else None, *wrong)


class ModelSchemaView(Struct):
    """`fields` is the JSON Schema of what POST /llm/create takes."""

    providers: list[str]
    llm_types: list[str]
    fields: dict[str, Any]


MODEL_SCHEMA = ModelSchemaView(
    [one for one in Provider if one is not Provider.OFFLINE],
    list(ModelKind),
    msgspec.json.schema(OwnModel),
)
