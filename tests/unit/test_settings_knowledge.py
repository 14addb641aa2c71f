"""Settings of knowledge: what follows from what, and which mistakes are told."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.knowledge.chunking import ChunkSize
from entrypoints.settings.knowledge import bad_dimensions, keyless
from entrypoints.settings.loading import Settings, SettingsError, load_settings
from entrypoints.settings.schema import EmbeddingSettings
from entrypoints.settings.secrets import DOTS

POSTGRES = {"DATABASE_URL": "postgresql://h/d", "SECRET_KEYS": '["' + "k" * 32 + '"]'}


def loaded(tmp_path: Path, own: Mapping[str, str] = {}, **environ: str) -> Settings:
    return load_settings({**{f"AGENTCHAT_{name}": value for name, value in own.items()}, **environ}, tmp_path)


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"EMBEDDING__KIND": "openai_compatible"}, "embedding.base_url: must be set for openai_compatible"),
        ({"EMBEDDING__KIND": "openai_compatible"}, "embedding.dimensions: must be set for openai_compatible"),
        ({"EMBEDDING__KIND": "openai", "EMBEDDING__MODEL": "new"}, "embedding.dimensions: must be set for new"),
        ({"EMBEDDING__KIND": "openai", "EMBEDDING__DIMENSIONS": "1537"}, "must be 1536 or less for text-embedding-3"),
        (
            {"EMBEDDING__KIND": "openai", "EMBEDDING__MODEL": "text-embedding-ada-002", "EMBEDDING__DIMENSIONS": "512"},
            "must be 1536 for text-embedding-ada-002",
        ),
        ({"EMBEDDING__MODEL": "bge-m3"}, "embedding.model: must be multilingual-e5-small for local"),
        ({"EMBEDDING__BASE_URL": "http://u:hunter2@h"}, "embedding.base_url: must not hold a user name"),
        ({"RERANK__MODEL": "m"}, "rerank.base_url: must be set"),
        ({"RERANK__BASE_URL": "h:80"}, "rerank.base_url: must be an address"),
        ({"KNOWLEDGE__CHUNK_TOKENS": "80"}, "knowledge.chunk_overlap: must be less than half of chunk_tokens, 80"),
        ({"INGESTION__IN_SERVER": "false"}, "ingestion.in_server: must be true with SQLite"),
        ({"INGESTION__PLACES": "0"}, "ingestion.places"),
    ],
)
def test_a_mistake_about_knowledge_says_what_would_be_right(
    tmp_path: Path, own: Mapping[str, str], message: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        loaded(tmp_path, own)
    assert message in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_the_server_reads_files_itself_on_sqlite_alone(tmp_path: Path) -> None:
    assert loaded(tmp_path).ingestion.in_server is True
    assert loaded(tmp_path, POSTGRES).ingestion.in_server is False
    assert loaded(tmp_path, {**POSTGRES, "INGESTION__IN_SERVER": "true"}).ingestion.in_server is True


def test_openai_embeds_with_the_vendors_key_and_address(tmp_path: Path) -> None:
    vendor = {"OPENAI_API_KEY": "hunter2", "OPENAI_BASE_URL": "http://proxy/v1"}
    settings = loaded(tmp_path, {"EMBEDDING__KIND": "openai"}, **vendor)
    chosen = settings.embedding
    assert chosen.api_key is not None
    assert (chosen.api_key.reveal(), str(chosen.api_key), chosen.base_url) == ("hunter2", DOTS, "http://proxy/v1")
    assert settings.source("embedding.api_key") == "OPENAI_API_KEY"
    assert keyless(chosen) is None


def test_the_local_model_and_a_compatible_server_never_get_the_vendors_key(tmp_path: Path) -> None:
    server = {"KIND": "openai_compatible", "BASE_URL": "http://h/v1", "MODEL": "m", "DIMENSIONS": "8"}
    for own in ({}, {f"EMBEDDING__{name}": value for name, value in server.items()}):
        chosen = loaded(tmp_path, own, OPENAI_API_KEY="hunter2", OPENAI_BASE_URL="http://proxy/v1").embedding
        assert (chosen.api_key, keyless(chosen)) == (None, None)
        assert chosen.base_url != "http://proxy/v1"


def test_a_variable_that_is_named_and_empty_is_told(tmp_path: Path) -> None:
    chosen = loaded(tmp_path, {"EMBEDDING__KIND": "openai", "EMBEDDING__API_KEY_ENV": "MINE"}, OPENAI_API_KEY="x")
    assert "set MINE" in (keyless(chosen.embedding) or "")
    rerank = {"RERANK__BASE_URL": "http://h/v1", "RERANK__API_KEY_ENV": "MINE"}
    assert loaded(tmp_path, rerank).rerank.api_key is None
    filled = loaded(tmp_path, rerank, MINE="hunter2").rerank.api_key
    assert filled is not None
    assert filled.reveal() == "hunter2"


@given(st.integers(32, 8000), st.integers(0, 4000))
def test_sizes_that_are_taken_are_those_that_the_chunker_takes(
    tmp_path_factory: pytest.TempPathFactory, tokens: int, overlap: int
) -> None:
    own = {"KNOWLEDGE__CHUNK_TOKENS": str(tokens), "KNOWLEDGE__CHUNK_OVERLAP": str(overlap)}
    try:
        size = loaded(tmp_path_factory.getbasetemp(), own).knowledge
    except SettingsError:
        with pytest.raises(ValueError, match="overlap"):
            ChunkSize(tokens, overlap)
    else:
        assert ChunkSize(size.chunk_tokens, size.chunk_overlap).most == tokens


@given(st.integers(1, 16_384))
def test_large_vectors_are_made_shorter_and_never_longer(dimensions: int) -> None:
    chosen = EmbeddingSettings(kind="openai", model="text-embedding-3-large", dimensions=dimensions)
    assert (bad_dimensions(chosen) is None) == (dimensions <= 3072)
