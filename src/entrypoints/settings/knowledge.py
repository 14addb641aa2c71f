"""Settings of knowledge: keys of its models, and the rules between them."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from msgspec import structs

from entrypoints.settings.rules import bad_address
from entrypoints.settings.schema import EmbeddingSettings, RerankSettings, Settings
from entrypoints.settings.secrets import Secret
from entrypoints.settings.sources import SettingPath

LOCAL_MODEL: Final = "multilingual-e5-small"
DEFAULT_OPENAI_MODEL: Final = "text-embedding-3-small"
OPENAI_DIMENSIONS: Final[Mapping[str, int]] = {
    "text-embedding-3-small": 1536,
    "text-embedding-3-large": 3072,
    "text-embedding-ada-002": 1536,
}
SHORTENED: Final = "text-embedding-3-"
"""Models of such names make vectors as short as one asks."""
OPENAI_KEY: Final = "OPENAI_API_KEY"
OPENAI_ADDRESS: Final = "OPENAI_BASE_URL"

Problems = Iterator[tuple[SettingPath, str]]


def with_keys(settings: Settings, environ: Mapping[str, str]) -> Settings:
    """Filled in from the variables that hold them, and that are then told as their sources."""
    chosen, rerank = settings.embedding, settings.rerank
    found: dict[str, str] = {}
    openai = chosen.kind == "openai"
    variable = chosen.api_key_env or (OPENAI_KEY if openai else None)
    if chosen.api_key is None and variable and environ.get(variable):
        chosen = structs.replace(chosen, api_key=Secret(environ[variable]))
        found["embedding.api_key"] = variable
    if chosen.base_url is None and openai and environ.get(OPENAI_ADDRESS):
        chosen = structs.replace(chosen, base_url=environ[OPENAI_ADDRESS])
        found["embedding.base_url"] = OPENAI_ADDRESS
    named = rerank.api_key_env
    if rerank.api_key is None and named and environ.get(named):
        rerank = structs.replace(rerank, api_key=Secret(environ[named]))
        found["rerank.api_key"] = named
    return structs.replace(settings, embedding=chosen, rerank=rerank, sources={**settings.sources, **found})


def keyless(chosen: EmbeddingSettings) -> str | None:
    """What to set so that the model can be asked. A compatible server may need no key."""
    if chosen.api_key is not None or chosen.kind not in ("openai", "openai_compatible"):
        return None
    if chosen.kind == "openai":
        variable = chosen.api_key_env or OPENAI_KEY
        return f"The embedding model has no API key: set {variable}, or api_key under [embedding]."
    if chosen.api_key_env:
        return f"The embedding model has no API key: set {chosen.api_key_env}, which its api_key_env names."
    return None


def embedding(settings: Settings) -> Problems:
    chosen = settings.embedding
    if chosen.kind == "openai_compatible":
        for name in ("base_url", "model", "dimensions"):
            if getattr(chosen, name) is None:
                yield ("embedding", name), "must be set for openai_compatible"
    if chosen.kind == "openai" and (problem := bad_dimensions(chosen)):
        yield ("embedding", "dimensions"), problem
    if chosen.kind == "local" and chosen.model not in (None, LOCAL_MODEL):
        yield ("embedding", "model"), f"must be {LOCAL_MODEL} for local; set kind to use another one"
    if chosen.base_url and (problem := bad_address(chosen.base_url)):
        yield ("embedding", "base_url"), problem


def bad_dimensions(chosen: EmbeddingSettings) -> str | None:
    name = chosen.model or DEFAULT_OPENAI_MODEL
    own = OPENAI_DIMENSIONS.get(name)
    if chosen.dimensions is None:
        return None if own else f"must be set for {name}, whose vectors are not known here"
    if own is None or chosen.dimensions == own or (name.startswith(SHORTENED) and chosen.dimensions < own):
        return None
    return f"must be {own}{' or less' if name.startswith(SHORTENED) else ''} for {name}"


def rerank(settings: Settings) -> Problems:
    chosen = settings.rerank
    if chosen.base_url is None:
        if chosen != RerankSettings():
            yield ("rerank", "base_url"), "must be set, such as https://api.jina.ai/v1, or nothing of [rerank]"
    elif problem := bad_address(chosen.base_url):
        yield ("rerank", "base_url"), problem


def chunks(settings: Settings) -> Problems:
    size = settings.knowledge
    if 2 * size.chunk_overlap >= size.chunk_tokens:
        yield ("knowledge", "chunk_overlap"), f"must be less than half of chunk_tokens, {size.chunk_tokens}"


def ingestion(settings: Settings) -> Problems:
    if settings.embedded and settings.ingestion.in_server is False:
        yield ("ingestion", "in_server"), "must be true with SQLite, which no process shares with the server"


KNOWLEDGE_RULES: Final[tuple[Callable[[Settings], Problems], ...]] = (embedding, rerank, chunks, ingestion)
