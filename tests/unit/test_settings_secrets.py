"""No secret of the configuration shows, whoever prints it."""

import copy
import json
import pickle
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrypoints.settings.loading import Secret, SecretUrl, load_settings
from entrypoints.settings.show import as_json, as_table

HIDDEN = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=32, max_size=48)


@given(st.lists(HIDDEN, min_size=5, max_size=5, unique=True))
def test_no_secret_is_in_any_view_of_the_settings(tmp_path_factory: pytest.TempPathFactory, hidden: list[str]) -> None:
    environ = {
        "AGENTCHAT_SECRET_KEYS": json.dumps(hidden[:1]),
        "AGENTCHAT_DATABASE_URL": f"postgresql://user:{hidden[1]}@db.example/chat?password={hidden[1]}",
        "AGENTCHAT_STORAGE__SECRET_KEY": hidden[2],
        "OPENAI_API_KEY": hidden[3],
    }
    folder = tmp_path_factory.mktemp("secrets")
    (folder / "agentchat.toml").write_text(f'[models.mine]\nprovider = "anthropic"\napi_key = "{hidden[4]}"\n')
    settings = load_settings(environ, folder)
    shown = "\n".join([repr(settings), str(settings), as_table(settings), as_json(settings), repr(settings.sources)])
    assert not [secret for secret in hidden if secret in shown]
    assert "postgresql://user:••••@db.example/chat" in as_table(settings)


def test_a_secret_prints_as_dots_and_is_given_only_when_asked() -> None:
    secret = Secret("hunter2")
    assert [str(secret), repr(secret), f"{secret}", f"{secret:>6}", f"{secret!r}"] == ["••••"] * 2 + [
        "••••",
        "  ••••",
        "••••",
    ]
    assert secret.reveal() == "hunter2"
    assert secret == Secret("hunter2")
    assert secret != Secret("other")
    assert copy.deepcopy(secret) is secret


def test_a_secret_is_neither_pickled_nor_encoded() -> None:
    with pytest.raises(TypeError):
        pickle.dumps(Secret("hunter2"))
    with pytest.raises(TypeError):
        msgspec.json.encode({"key": Secret("hunter2")})


@pytest.mark.parametrize("url", ["postgresql://[::1", "hunter2", "postgresql:hunter2", "x://u:hunter2@h?p=hunter2"])
def test_an_address_shows_no_password_however_odd_it_is(url: str) -> None:
    assert "hunter2" not in str(SecretUrl(url))


def test_the_table_names_each_value_and_its_source(tmp_path: Path) -> None:
    table = as_table(load_settings({"AGENTCHAT_PORT": "9"}, tmp_path)).splitlines()
    assert table[0].split() == ["setting", "value", "from"]
    assert ["port", "9", "AGENTCHAT_PORT"] in [line.split() for line in table]
    assert json.loads(as_json(load_settings({}, tmp_path)))["port"] == {"value": 8000, "from": "default"}
