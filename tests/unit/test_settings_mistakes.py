"""Every mistake at once, each with its place and what would be right; never a secret."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrypoints.settings.loading import SettingsError, load_settings

ONE_MISTAKE_EACH = {
    "AGENTCHAT_PORT": "65536",
    "AGENTCHAT_WORKERS": "many",
    "AGENTCHAT_HOTS": "x",
    "AGENTCHAT_HEARTBEAT_SECONDS": "nan",
    "AGENTCHAT_MAX_RUN_SECONDS": "0",
    "AGENTCHAT_LOG_LEVEL": "loud",
    "AGENTCHAT_CORS_ORIGINS": "https://a.example",
    "AGENTCHAT_TRUSTED_PROXIES": '["10.0.0.1/8"]',
    "AGENTCHAT_PUBLIC_URL": "chat.example",
    "AGENTCHAT_DATABASE_URL": "mysql://u:hunter2@h/d",
    "AGENTCHAT_SECRET_KEYS": '["short"]',
    "AGENTCHAT_DEFAULT_MODEL": "gpt-44",
    "AGENTCHAT_STORAGE__KIND": "s3",
    "AGENTCHAT_STORAGE__BUCKETS": "x",
    "AGENTCHAT_VECTOR__KIND": "faiss",
    "AGENTCHAT_EMBEDDING__DIMENSIONS": "1.5",
    "AGENTCHAT_MCP__ALLOW_STDIO": "perhaps",
    "AGENTCHAT_MCP": "x",
    "AGENTCHAT_QUOTA__UPLOAD_BYTES": "-1",
    "AGENTCHAT_NETWORK__ALLOW_PRIVATE": '["everything"]',
    "AGENTCHAT_MODELS__offline__FALLBACKS": '["offline"]',
    "AGENTCHAT_MODELS__new__VISION": "true",
    "AGENTCHAT_MODELS__local__PROVIDER": "openai_compatible",
    "AGENTCHAT_HOST__NAME": "x",
}


MINIO = {
    "AGENTCHAT_STORAGE__KIND": "minio",
    "AGENTCHAT_STORAGE__ENDPOINT": "s3.example:9000",
    "AGENTCHAT_STORAGE__ACCESS_KEY": "k",
    "AGENTCHAT_STORAGE__SECRET_KEY": "s",
}


@pytest.mark.parametrize("endpoint", ["s3.example:9000", "10.0.0.7", "[::1]:9000", "https://s3.example"])
def test_a_storage_is_named_by_host_and_port(tmp_path: Path, endpoint: str) -> None:
    variables = MINIO | {"AGENTCHAT_STORAGE__ENDPOINT": endpoint, "AGENTCHAT_URL_LIFETIME_SECONDS": "604800"}
    assert load_settings(variables, tmp_path).storage.endpoint == endpoint


@given(st.sets(st.sampled_from(sorted(ONE_MISTAKE_EACH)), min_size=1))
def test_every_mistake_is_reported_and_nothing_else(tmp_path_factory: pytest.TempPathFactory, wrong: set[str]) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings({name: ONE_MISTAKE_EACH[name] for name in wrong}, tmp_path_factory.getbasetemp())
    assert sorted(str(mistake.place) for mistake in caught.value.mistakes) == sorted(wrong)


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"AGENTCHAT_PORT": "x"}, 'AGENTCHAT_PORT: port: must be a whole number from 0 to 65535, not "x"'),
        ({"AGENTCHAT_HOTS": "x"}, "AGENTCHAT_HOTS: hots: is not a setting; did you mean host?"),
        ({"AGENTCHAT_STORAGE__KIND": "s3"}, 'storage.kind: must be one of local, minio, not "s3"'),
        ({"AGENTCHAT_STORAGE__KIND": "minio"}, "storage.secret_key: must be set for minio"),
        ({**MINIO, "AGENTCHAT_STORAGE__ENDPOINT": "s3 example"}, "storage.endpoint: must be a host and port such as"),
        ({**MINIO, "AGENTCHAT_STORAGE__ENDPOINT": "u:p@s3.example"}, "storage.endpoint: must be a host and port"),
        ({**MINIO, "AGENTCHAT_STORAGE__PUBLIC_ENDPOINT": "s3.example/x"}, "storage.public_endpoint: must be a host"),
        ({**MINIO, "AGENTCHAT_STORAGE__BUCKET": "My_Bucket"}, "storage.bucket: must be 3 to 63 lower-case letters"),
        ({**MINIO, "AGENTCHAT_URL_LIFETIME_SECONDS": "604801"}, "url_lifetime_seconds: must be 604800 (seven days)"),
        ({"AGENTCHAT_WORKERS": "2"}, "AGENTCHAT_WORKERS: workers: must be 1 on SQLite, which lets one process write"),
        ({"AGENTCHAT_DATABASE_URL": "postgresql://u:hunter2@h/d"}, "an external database needs secret_keys"),
        ({"AGENTCHAT_SECRET_KEYS": '["hunter2"]'}, "key 1 has 7 characters; a key has 32 or more"),
        ({"AGENTCHAT_SECRET_KEYS": "hunter2"}, 'must be a JSON list such as ["a secret of 32 characters or more"]'),
        ({"AGENTCHAT_CORS_ORIGINS": '["*", "https://a.example"]'}, "* means every origin and stands alone"),
        ({"AGENTCHAT_CORS_ORIGINS": '["https://a.example/"]'}, "must end after the host and port"),
        ({"AGENTCHAT_DEFAULT_MODEL": "gpt4"}, "default_model: gpt4 is not a model; did you mean gpt-4?"),
        ({"AGENTCHAT_VECTOR__KIND": "pgvector"}, "vector.kind: pgvector needs a postgresql:// database_url"),
        (
            {"AGENTCHAT_MODELS__x__PROVIDER": "openi"},
            "must be one of anthropic, offline, openai, openai_compatible, not",
        ),
        ({"AGENTCHAT_MODELS__x__VISION": "1"}, "models.x.provider: is missing; it must be one of"),
        ({"AGENTCHAT_MODELS__gpt-4__PRICES__INPUT": "1"}, "models.gpt-4.prices.output: is missing"),
        ({"AGENTCHAT_MODELS__gpt-4__BASE_URL": "http://u:hunter2@h/v1"}, "must not hold a user name or password"),
        ({"AGENTCHAT_MODELS__gpt-4__MAX_OUTPUT_TOKENS": "9000"}, "must be below the context_window, 8192"),
        ({"AGENTCHAT_HOST": "a\udcffb"}, "it is not UTF-8"),
    ],
)
def test_a_mistake_says_what_would_be_right(tmp_path: Path, environ: Mapping[str, str], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(environ, tmp_path)
    assert message in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_mistakes_of_the_file_and_of_variables_come_together(tmp_path: Path) -> None:
    (tmp_path / "agentchat.toml").write_text("port = 'x'\n[models]\n'' = {provider = 'offline'}\n")
    with pytest.raises(SettingsError) as caught:
        load_settings({"AGENTCHAT_POOL_SIZE": "0"}, tmp_path, {"workers": 1000})
    places = [str(mistake.place) for mistake in caught.value.mistakes]
    assert places == ["agentchat.toml:1", "agentchat.toml:3", "AGENTCHAT_POOL_SIZE", "--workers"]


def test_a_mistake_in_a_value_that_is_overridden_is_still_one(tmp_path: Path) -> None:
    (tmp_path / "agentchat.toml").write_text("port = 'x'")
    with pytest.raises(SettingsError, match=r"agentchat\.toml:1: port"):
        load_settings({"AGENTCHAT_PORT": "1"}, tmp_path)


@given(st.dictionaries(st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ_", max_size=30).map("AGENTCHAT_".__add__), st.text()))
def test_no_variable_of_any_shape_breaks_the_reading(
    tmp_path_factory: pytest.TempPathFactory, environ: dict[str, str]
) -> None:
    environ.pop("AGENTCHAT_CONFIG", None)
    assert outcome(environ, tmp_path_factory.getbasetemp()) in {"settings", "mistakes"}


def outcome(environ: Mapping[str, str], folder: Path) -> str:
    try:
        load_settings(environ, folder)
    except SettingsError as error:
        return "mistakes" if error.mistakes else "nothing said"
    return "settings"


def test_text_recognition_that_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    wanted = {"AGENTCHAT_DOCUMENTS__OCR": "rapidocr"}
    assert load_settings(wanted, tmp_path).documents.ocr == "rapidocr"
    monkeypatch.setattr("entrypoints.settings.rules.find_spec", lambda name: None)
    with pytest.raises(SettingsError, match="make ocr"):
        load_settings(wanted, tmp_path)
