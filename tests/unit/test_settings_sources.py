"""Where settings come from: a file, variables, options; the same tree means the same, whichever way it came."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from entrypoints.settings.loading import Settings, SettingsError, load_settings

WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)
NAMES = st.from_regex(r"[a-z][a-z0-9.-]{0,12}", fullmatch=True).filter(lambda name: not name.startswith("gpt"))
SECONDS = st.floats(min_value=0.001, max_value=86_400, allow_nan=False)

MODELS = st.fixed_dictionaries(
    {"provider": st.sampled_from(["offline", "openai", "anthropic"])},
    optional={
        "model": WORDS,
        "api_key": WORDS,
        "context_window": st.integers(1, 10**6),
        "vision": st.booleans(),
        "prices": st.fixed_dictionaries({"input": SECONDS, "output": SECONDS}, optional={"cached_input": SECONDS}),
    },
)
TREES = st.fixed_dictionaries(
    {},
    optional={
        "host": WORDS,
        "port": st.integers(0, 65535),
        "cors_origins": st.lists(st.sampled_from(["https://a.example", "http://b.example:8080"]), max_size=3),
        "heartbeat_seconds": SECONDS,
        "max_input_chars": st.integers(1, 10**6),
        "log_level": st.sampled_from(["debug", "info", "warning", "error"]),
        "secret_keys": st.lists(st.text("abcdef", min_size=32, max_size=40), min_size=1, max_size=3, unique=True),
        "mcp": st.fixed_dictionaries({"allow_stdio": st.booleans()}),
        "quota": st.fixed_dictionaries({}, optional={"tokens_per_day": st.integers(1, 10**6)}),
        "network": st.fixed_dictionaries(
            {"allow_private": st.just(["127.0.0.0/8", "::1"])}, optional={"allow_ports": st.just([443, 5000])}
        ),
        "models": st.dictionaries(NAMES, MODELS, max_size=3),
    },
)


@given(TREES)
def test_a_tree_means_the_same_in_a_file_and_in_variables(tmp_path_factory: pytest.TempPathFactory, tree: dict) -> None:
    folder = tmp_path_factory.mktemp("file")
    (folder / "agentchat.toml").write_text("\n".join(f"{key} = {toml(value)}" for key, value in tree.items()))
    from_file = load_settings({}, folder)
    from_variables = load_settings(dict(variables(tree)), tmp_path_factory.mktemp("none"))
    assert without_places(from_file) == without_places(from_variables)


def test_variables_win_over_the_file_and_options_over_both(tmp_path: Path) -> None:
    (tmp_path / "agentchat.toml").write_text("port = 1\nhost = 'file'\nworkers = 1\n")
    settings = load_settings({"AGENTCHAT_PORT": "2", "AGENTCHAT_HOST": "variable"}, tmp_path, {"port": 3})
    assert (settings.port, settings.host, settings.workers) == (3, "variable", 1)
    assert [settings.source(name) for name in ("port", "host", "workers", "pool_size")] == [
        "--port",
        "AGENTCHAT_HOST",
        "agentchat.toml:3",
        "default",
    ]


def test_the_file_may_have_another_name_and_must_then_exist(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("port = 9")
    assert load_settings({"AGENTCHAT_CONFIG": "mine.toml"}, tmp_path).port == 9
    with pytest.raises(SettingsError, match=r"AGENTCHAT_CONFIG: there is no file other\.toml"):
        load_settings({"AGENTCHAT_CONFIG": "other.toml"}, tmp_path)


@pytest.mark.parametrize(
    ("document", "place"),
    [
        ("port = \n", "agentchat.toml:1: is not TOML"),
        ("port = 1\nport = 2\n", "agentchat.toml:2: is not TOML"),
        ("[storage\n", "agentchat.toml:1: is not TOML"),
        ("# comment\n\nport = 'x'\n", "agentchat.toml:3: port: "),
        ("cors_origins = [\n 'https://a.example',\n 5,\n]\nport = -1", "agentchat.toml:1: cors_origins: "),
        ("host = '''\nport = 1\n'''\nport = -1", "agentchat.toml:4: port: "),
        ("[models.x]\nprovider = 'offline'\n[models.y]\nvision = 1", "agentchat.toml:4: models.y.vision: "),
        ("models.y.vision = 1", "agentchat.toml:1: models.y.vision: "),
    ],
)
def test_a_mistake_in_the_file_names_its_line(tmp_path: Path, document: str, place: str) -> None:
    (tmp_path / "agentchat.toml").write_text(document)
    with pytest.raises(SettingsError) as caught:
        load_settings({}, tmp_path)
    assert place in str(caught.value)


def test_a_file_that_is_not_text_is_one_mistake(tmp_path: Path) -> None:
    (tmp_path / "agentchat.toml").write_bytes(b"host = '\xff'")
    with pytest.raises(SettingsError, match="must be UTF-8 text; byte 8 is not"):
        load_settings({}, tmp_path)


def test_an_empty_variable_counts_as_unset(tmp_path: Path) -> None:
    assert load_settings({"AGENTCHAT_PORT": "", "AGENTCHAT_HOST": ""}, tmp_path).port == 8000


def test_a_setting_given_twice_in_variables_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="AGENTCHAT_port: port: is also set by AGENTCHAT_PORT"):
        load_settings({"AGENTCHAT_PORT": "1", "AGENTCHAT_port": "2"}, tmp_path)


def test_a_table_may_come_whole_as_json(tmp_path: Path) -> None:
    settings = load_settings({"AGENTCHAT_MODELS": '{"mine": {"provider": "offline", "vision": true}}'}, tmp_path)
    assert settings.models["mine"].vision


@pytest.mark.parametrize("value", ["https://a.example", '"https://a.example"', "{}", "[", "[1]", '[""]'])
def test_a_list_in_a_variable_must_be_a_json_list(tmp_path: Path, value: str) -> None:
    with pytest.raises(
        SettingsError, match=r'AGENTCHAT_CORS_ORIGINS: cors_origins: must be a JSON list such as \["one"\]'
    ):
        load_settings({"AGENTCHAT_CORS_ORIGINS": value}, tmp_path)


def variables(tree: Mapping[str, object], prefix: str = "AGENTCHAT_") -> Iterator[tuple[str, str]]:
    for key, value in tree.items():
        name = prefix + (key if prefix.upper() == "AGENTCHAT_MODELS__" else key.upper())
        if isinstance(value, dict):
            yield from variables(value, f"{name}__")
        elif isinstance(value, bool | list):
            yield name, json.dumps(value)
        else:
            yield name, str(value)


def toml(value: object) -> str:
    """JSON is TOML, but for tables."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml(item)}" for key, item in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False)


def without_places(settings: Settings) -> Settings:
    return structs.replace(settings, sources={})
