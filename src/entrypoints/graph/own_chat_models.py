"""Models that people brought: through the guarded web alone, each key with a client of its own."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from types import ModuleType
from typing import Final

from adapters.openai.endpoint import OPENAI_URL
from adapters.web.client import WebClient
from adapters.web.kept_clients import KeptClients
from adapters.web.posting import Posting
from application.ports.chat_model import ChatModel, Timeouts
from application.ports.secret_box import SecretBroken
from application.sealing import Seals
from domain.conversation.conversation import ModelEvent, ModelRequest, ReasoningDelta, TextDelta, ToolCallDelta
from domain.errors import ModelError
from domain.models.models import ModelSpec
from entrypoints.graph.chat_models import CHAT_MODELS, Access, refuse_unavailable, without_key

ANSWER_CHARACTERS: Final = 4_000_000
"""Of one answer. Who brought the server may have written it, too."""
EMBEDDING_BYTES: Final = 4 << 20
EMBEDDING_RETRIES: Final = 0


@dataclass(frozen=True, slots=True)
class OwnChatModels:
    """Closes nothing by itself: the clients' owner does."""

    clients: KeptClients[ChatModel]
    seals: Seals
    timeouts: Timeouts

    def open(self, spec: ModelSpec) -> ChatModel:
        refuse_unavailable(spec)
        key = opened_key(self.seals, spec)
        made = partial(self._made, spec, key)
        return _OwnChatModel(self.clients, spec.key_id, made, key)

    async def forget(self, key_id: str) -> None:
        await self.clients.forget(key_id)

    def _made(self, spec: ModelSpec, key: str, http: WebClient) -> ChatModel:
        return CHAT_MODELS[spec.provider](spec, Access(http, self.timeouts, key))


@dataclass(frozen=True, slots=True)
class _OwnChatModel:
    """Borrows the client for a stream at a time: a run that lasts goes on when it was closed meanwhile."""

    clients: KeptClients[ChatModel]
    key_id: str
    made: Callable[[WebClient], ChatModel] = field(repr=False)
    key: str = field(repr=False)

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        left = ANSWER_CHARACTERS
        with self.clients.lease(self.key_id, self.made) as model:
            try:
                async with aclosing(model.stream(request)) as events:
                    async for event in events:
                        left -= _characters(event)
                        _refuse_endless(left)
                        yield event
            except ModelError as error:
                raise without_key(error, self.key) from None


def opened_key(seals: Seals, spec: ModelSpec) -> str:
    """Raises ModelError."""
    try:
        return seals.key(spec)
    except SecretBroken:
        message = f"The key of the model {spec.model!r} can't be opened: send it again."
        raise ModelError("model_not_configured", message) from None


def _refuse_endless(left: int) -> None:
    if left < 0:
        raise ModelError("model_bad_response", "The model sent more than any answer is.")


def _characters(event: ModelEvent) -> int:
    match event:
        case TextDelta(text) | ReasoningDelta(text):
            return len(text)
        case ToolCallDelta():
            return len(event.arguments)
        case _:
            return 0


@dataclass(frozen=True, slots=True)
class OwnEmbeddings:
    """Asks a model that makes vectors for one."""

    clients: Callable[[], WebClient]
    seals: Seals
    connect_seconds: float

    async def __call__(self, spec: ModelSpec, text: str, *, seconds: float) -> int:
        refuse_unavailable(spec)
        wire = await asyncio.to_thread(_wire)
        key, http = opened_key(self.seals, spec), self.clients()
        address = f"{(spec.base_url or OPENAI_URL).rstrip('/')}/embeddings"
        post = Posting(http, address, key, self.connect_seconds, EMBEDDING_RETRIES)
        body = wire.body_of(spec.model, [text], dimensions=None, compatible=True)
        try:
            dimensions: int = wire.dimensions_in(await post(body, seconds=seconds))
            return dimensions
        except ModelError as error:
            raise without_key(error, key) from None
        finally:
            await http.aclose()


def _wire() -> ModuleType:
    """numpy takes its time, once."""
    import adapters.openai.embedding_wire as wire

    return wire
