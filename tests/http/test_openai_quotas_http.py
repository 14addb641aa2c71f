"""A quota of a day, as clients of OpenAI are told of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from http_answers import Client, Serving, data_of

COMPLETIONS = "/api/v1/openai/chat/completions"


@pytest.fixture
def limited(serving: Serving, sqlite_url: str, tmp_path: Path) -> Iterator[Client]:
    """One answer a day."""
    with serving(sqlite_url, tmp_path, QUOTA__RUNS_PER_DAY="1") as made:
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
