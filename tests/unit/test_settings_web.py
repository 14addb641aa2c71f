"""Settings of the web: what users may reach, and which engine searches."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from adapters.web import WebClient
from adapters.web_search import Bocha, Searxng, Tavily
from entrypoints.graph.web import engine_of, reach_of
from entrypoints.settings.loading import Settings, SettingsError, load_settings
from entrypoints.settings.secrets import DOTS


def loaded(tmp_path: Path, own: Mapping[str, str] = {}, **environ: str) -> Settings:
    return load_settings({**{f"AGENTCHAT_{name}": value for name, value in own.items()}, **environ}, tmp_path)


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"WEB_SEARCH__KIND": "searxng"}, "web_search.base_url: must be set for searxng"),
        ({"WEB_SEARCH__KIND": "tavily"}, "web_search.api_key: must be set for tavily"),
        ({"WEB_SEARCH__KIND": "bocha", "WEB_SEARCH__API_KEY_ENV": "MINE"}, "must be set for bocha; MINE, which"),
        ({"WEB_SEARCH__KIND": "bing"}, "web_search.kind"),
        ({"WEB_SEARCH__API_KEY": "hunter2"}, "web_search.kind: must be searxng, tavily or bocha"),
        (
            {"WEB_SEARCH__KIND": "searxng", "WEB_SEARCH__BASE_URL": "http://u:hunter2@h"},
            "web_search.base_url: must not",
        ),
        ({"NETWORK__ALLOW_PRIVATE": '["10.0.0.1/8"]'}, "network.allow_private: 10.0.0.1/8 is not a network"),
        ({"NETWORK__ALLOW_PORTS": "[0]"}, "network.allow_ports"),
        ({"NETWORK__ALLOW_PORTS": "[65536]"}, "network.allow_ports"),
    ],
)
def test_a_mistake_about_the_web_says_what_would_be_right(tmp_path: Path, own: Mapping[str, str], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        loaded(tmp_path, own)
    assert message in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_the_key_comes_from_the_variable_that_is_named_and_is_not_shown(tmp_path: Path) -> None:
    own = {"WEB_SEARCH__KIND": "tavily", "WEB_SEARCH__API_KEY_ENV": "MINE"}
    settings = loaded(tmp_path, own, MINE="hunter2")
    assert settings.web_search.api_key is not None
    assert settings.web_search.api_key.reveal() == "hunter2"
    assert str(settings.web_search.api_key) == DOTS
    assert settings.source("web_search.api_key") == "MINE"
    given = loaded(tmp_path, {**own, "WEB_SEARCH__API_KEY": "own"}, MINE="hunter2").web_search.api_key
    assert given is not None
    assert given.reveal() == "own"


def test_the_engine_that_is_configured_is_asked(tmp_path: Path) -> None:
    web, key = WebClient(), {"WEB_SEARCH__API_KEY": "k"}
    assert engine_of(loaded(tmp_path), web) is None
    searxng = engine_of(loaded(tmp_path, {"WEB_SEARCH__KIND": "searxng", "WEB_SEARCH__BASE_URL": "http://h"}), web)
    assert isinstance(searxng, Searxng)
    assert searxng.base_url == "http://h"
    tavily = engine_of(loaded(tmp_path, {"WEB_SEARCH__KIND": "tavily", **key}), web)
    assert isinstance(tavily, Tavily)
    assert (tavily.base_url, tavily.ask.api_key) == ("https://api.tavily.com", "k")
    assert isinstance(engine_of(loaded(tmp_path, {"WEB_SEARCH__KIND": "bocha", **key}), web), Bocha)


def test_users_reach_public_addresses_and_what_the_operator_opened(tmp_path: Path) -> None:
    usual = reach_of(loaded(tmp_path))
    assert usual.has("1.1.1.1", 8443)
    assert not usual.has("1.1.1.1", 22)
    assert not usual.has("127.0.0.1", 80)
    own = {"NETWORK__ALLOW_PRIVATE": '["127.0.0.0/8", "::1"]', "NETWORK__ALLOW_PORTS": "[443]"}
    opened = reach_of(loaded(tmp_path, own))
    assert opened.has("127.0.0.1", 5000)
    assert opened.has("::1", 5000)
    assert not opened.has("1.1.1.1", 80)
