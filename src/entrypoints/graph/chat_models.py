"""Which adapter answers for which provider: the only place that knows them all."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final

from adapters.anthropic import AnthropicEndpoint
from adapters.offline import OfflineChatModel
from adapters.openai import OpenAIEndpoint
from adapters.web.chat import HttpChatModel
from adapters.web.client import WebClient
from application.ports.chat_model import ChatModel, ChatModels, Timeouts
from domain.conversation.conversation import ModelEvent, ModelRequest
from domain.errors import ModelError
from domain.ids import ModelId
from domain.models import own_models
from domain.models.models import ModelSpec, Provider
from entrypoints.settings.loading import Settings


@dataclass(frozen=True, slots=True)
class Access:
    """What a model is reached with."""

    http: WebClient
    timeouts: Timeouts
    key: str = field(default="", repr=False)
    thinking_tokens: int | None = None
    offline_delay_seconds: float = 0.0


Factory = Callable[[ModelSpec, Access], ChatModel]


def timeouts_of(settings: Settings) -> Timeouts:
    return Timeouts(
        connect=settings.connect_timeout_seconds,
        first_token=settings.first_token_timeout_seconds,
        idle=settings.idle_timeout_seconds,
    )


def _openai(spec: ModelSpec, access: Access) -> ChatModel:
    compatible = spec.provider is Provider.OPENAI_COMPATIBLE
    endpoint = OpenAIEndpoint(api_key=access.key, http=access.http, base_url=spec.base_url, compatible=compatible)
    return HttpChatModel(endpoint, timeouts=access.timeouts)


def _anthropic(spec: ModelSpec, access: Access) -> ChatModel:
    endpoint = AnthropicEndpoint(
        api_key=access.key,
        http=access.http,
        base_url=spec.base_url,
        thinking_tokens=access.thinking_tokens,
    )
    return HttpChatModel(endpoint, timeouts=access.timeouts)


def _offline(_spec: ModelSpec, access: Access) -> ChatModel:
    return OfflineChatModel(delay_seconds=access.offline_delay_seconds)


CHAT_MODELS: Final[Mapping[Provider, Factory]] = {
    Provider.OFFLINE: _offline,
    Provider.OPENAI: _openai,
    Provider.OPENAI_COMPATIBLE: _openai,
    Provider.ANTHROPIC: _anthropic,
}


class ConfiguredModels:
    """Opens the models of the configuration, each once."""

    def __init__(self, settings: Settings, http: WebClient) -> None:
        self._settings = settings
        self._http = http
        self._opened: dict[ModelId, ChatModel] = {}

    def open(self, spec: ModelSpec) -> ChatModel:
        refuse_unavailable(spec)
        model = self._opened.get(spec.llm_id)
        if model is None:
            access = self._access(spec)
            model = self._opened[spec.llm_id] = _Keyless(CHAT_MODELS[spec.provider](spec, access), access.key)
        return model

    def _access(self, spec: ModelSpec) -> Access:
        settings, key = self._settings, self._settings.model_key(spec.llm_id)
        return Access(
            self._http,
            timeouts_of(settings),
            key.reveal() if key else "",
            settings.models[spec.llm_id].thinking_tokens,
            settings.offline_delay_ms / 1000,
        )


@dataclass(frozen=True, slots=True)
class _Keyless:
    """The operator's key is nobody's to see, also where their server repeats it."""

    model: ChatModel
    key: str = field(repr=False)

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        try:
            async with aclosing(self.model.stream(request)) as events:
                async for event in events:
                    yield event
        except ModelError as error:
            raise without_key(error, self.key) from None


@dataclass(frozen=True, slots=True)
class EveryModel:
    """The operator's models may be anywhere, those of users only where the guard lets them be."""

    configured: ChatModels
    own: ChatModels

    def open(self, spec: ModelSpec) -> ChatModel:
        return (self.configured if spec.owner is None else self.own).open(spec)


def refuse_unavailable(spec: ModelSpec) -> None:
    if spec.unavailable_reason is not None:
        raise ModelError("model_not_configured", spec.unavailable_reason)


def without_key(error: ModelError, key: str) -> ModelError:
    """Servers repeat what they were sent, also where we look for a word."""
    message = own_models.without_key(error.message, key)
    if message == error.message:
        return error
    return ModelError(error.code, message, retryable=error.retryable, retry_after=error.retry_after)
