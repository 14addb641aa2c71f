"""What the server says at its start about settings that are allowed and yet not what was meant."""

from pathlib import Path

import pytest

from entrypoints.settings.advice import advice, worker_advice
from entrypoints.settings.loading import SettingsError, load_settings


def said(tmp_path: Path, **variables: str) -> str:
    return "\n".join(advice(load_settings({f"AGENTCHAT_{name}": value for name, value in variables.items()}, tmp_path)))


def test_short_passwords_are_advised_against_where_others_reach_the_server(tmp_path: Path) -> None:
    assert "password_min_length" in said(tmp_path, HOST="0.0.0.0")
    assert "password_min_length" not in said(tmp_path, HOST="0.0.0.0", PASSWORD_MIN_LENGTH="12")
    assert "password_min_length" not in said(tmp_path, HOST="localhost")


@pytest.mark.parametrize(
    ("model", "tokens", "mistake"),
    [
        ("gpt-4", "2000", "is for models of anthropic only"),
        ("claude-opus-5-5", "1000", "must be 1024 or more"),
        ("claude-opus-5-5", "190000", "must be, with max_output_tokens, below the context_window, 200000"),
    ],
)
def test_thinking_needs_room_and_a_model_that_does_it(tmp_path: Path, model: str, tokens: str, mistake: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load_settings({f"AGENTCHAT_MODELS__{model}__THINKING_TOKENS": tokens}, tmp_path)
    assert mistake in str(refused.value.mistakes[0])


def test_thinking_is_taken_where_it_fits(tmp_path: Path) -> None:
    settings = load_settings({"AGENTCHAT_MODELS__claude-opus-5-5__THINKING_TOKENS": "8000"}, tmp_path)
    assert settings.models["claude-opus-5-5"].thinking_tokens == 8000


def test_a_worker_says_which_folder_it_reads_unless_all_share_a_bucket(tmp_path: Path) -> None:
    [hint] = worker_advice(load_settings({"AGENTCHAT_DATA_DIR": str(tmp_path / "here")}, tmp_path), lambda: None)
    assert str(tmp_path / "here" / "files") in hint
    assert "file_content_missing" in hint
    bucket = {
        f"AGENTCHAT_STORAGE__{name}": value
        for name, value in {
            "KIND": "minio",
            "ENDPOINT": "http://127.0.0.1:9000",
            "ACCESS_KEY": "key",
            "SECRET_KEY": "secret",
            "BUCKET": "files",
        }.items()
    }
    assert [*worker_advice(load_settings(bucket, tmp_path), lambda: None)] == []


@pytest.mark.parametrize(
    ("embedding", "hint"),
    [
        ({}, "There is no model for arm64. Until then this worker makes no vectors"),
        ({"KIND": "openai"}, "set OPENAI_API_KEY"),
        ({"KIND": "openai", "API_KEY": "key"}, None),
        ({"KIND": "none"}, None),
    ],
)
def test_a_worker_says_what_it_lacks_to_make_vectors(
    tmp_path: Path, embedding: dict[str, str], hint: str | None
) -> None:
    given = {f"AGENTCHAT_EMBEDDING__{name}": value for name, value in embedding.items()}
    said = [*worker_advice(load_settings(given, tmp_path), lambda: "There is no model for arm64.")][:-1]
    assert len(said) == (hint is not None)
    assert all(hint in one for one in said if hint)
