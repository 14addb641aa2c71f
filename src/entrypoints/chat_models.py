"""Which adapter answers for which provider: the only place that knows them all."""

from collections.abc import Callable, Mapping
from typing import Final

from adapters.anthropic import AnthropicEndpoint
from adapters.offline import OfflineChatModel
from adapters.openai import OpenAIEndpoint
from adapters.web.chat import HttpChatModel
from adapters.web.client import WebClient
from application.ports.chat_model import ChatModel, Timeouts
from domain.errors import ModelError
from domain.ids import ModelId
from domain.models import ModelSpec, Provider
from entrypoints.settings import Settings

Factory = Callable[[ModelSpec, Settings, WebClient], ChatModel]


def timeouts_of(settings: Settings) -> Timeouts:
    return Timeouts(
        connect=settings.connect_timeout_seconds,
        first_token=settings.first_token_timeout_seconds,
        idle=settings.idle_timeout_seconds,
    )


def _openai(spec: ModelSpec, settings: Settings, http: WebClient) -> ChatModel:
    compatible = spec.provider is Provider.OPENAI_COMPATIBLE
    endpoint = OpenAIEndpoint(api_key=_key(spec, settings), http=http, base_url=spec.base_url, compatible=compatible)
    return HttpChatModel(endpoint, timeouts=timeouts_of(settings))


def _anthropic(spec: ModelSpec, settings: Settings, http: WebClient) -> ChatModel:
    endpoint = AnthropicEndpoint(
        api_key=_key(spec, settings),
        http=http,
        base_url=spec.base_url,
        thinking_tokens=settings.models[spec.llm_id].thinking_tokens,
    )
    return HttpChatModel(endpoint, timeouts=timeouts_of(settings))


def _offline(spec: ModelSpec, settings: Settings, http: WebClient) -> ChatModel:
    del spec, http
    return OfflineChatModel(delay_seconds=settings.offline_delay_ms / 1000)


def _key(spec: ModelSpec, settings: Settings) -> str:
    key = settings.model_key(spec.llm_id)
    return key.reveal() if key else ""


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
        if spec.unavailable_reason is not None:
            raise ModelError("model_not_configured", spec.unavailable_reason)
        model = self._opened.get(spec.llm_id)
        if model is None:
            model = self._opened[spec.llm_id] = CHAT_MODELS[spec.provider](spec, self._settings, self._http)
        return model
