"""A quota of a day, as clients of OpenAI are told of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from litestar.testing import TestClient

from entrypoints.main import create_app
from entrypoints.settings import load_settings
from http_answers import Client, data_of

COMPLETIONS = "/api/v1/openai/chat/completions"


@pytest.fixture
def limited(sqlite_url: str, tmp_path: Path) -> Iterator[Client]:
    """One answer a day."""
    variables = {
        "AGENTCHAT_DATABASE_URL": sqlite_url,
        "AGENTCHAT_DATA_DIR": str(tmp_path / "data"),
        "AGENTCHAT_SECRET_KEYS": '["a-secret-of-the-tests-that-is-long-enough-0123456789"]',
        "AGENTCHAT_EMBEDDING__KIND": "none",
        "AGENTCHAT_QUOTA__RUNS_PER_DAY": "1",
    }
    with TestClient(create_app(load_settings(variables, tmp_path)), raise_server_exceptions=False) as made:
        yield made


def test_what_is_over_the_quota_is_a_429_of_openai_s_whole_and_streamed(limited: Client) -> None:
    account = {"user_name": "ann", "user_password": "test"}
    data_of(limited.post("/api/v1/user/register", json=account))
    token = data_of(limited.post("/api/v1/user/login", json=account))["access_token"]
    who = {"authorization": f"Bearer {token}"}
    asked = {"model": "default", "messages": [{"role": "user", "content": "1+1?"}]}
    assert limited.post(COMPLETIONS, json=asked, headers=who).status_code == 200
    for stream in (False, True):
        refused = limited.post(COMPLETIONS, json={**asked, "stream": stream}, headers=who)
        assert refused.status_code == 429, refused.text
        assert int(refused.headers["retry-after"]) > 0
        (error,) = refused.json().values()
        assert set(error) == {"message", "type", "param", "code"}
        assert (error["type"], error["param"]) == ("rate_limit_error", None)
        assert error["code"] == "quota_exceeded"
    assert len(data_of(limited.get("/api/v1/dialog/list", headers=who))) == 1
