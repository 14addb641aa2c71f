"""An answer over HTTP is in the usage of whoever asked, and in the way of the quotas that there are."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from http_answers import Client, Headers, Register, data_of

USAGE = "/api/v1/usage"


@pytest.fixture
def ann(register: Register) -> Headers:
    return register("ann")


def test_an_answer_is_in_the_usage_of_today(client: Client, ann: Headers) -> None:
    asked = client.post("/api/v1/chat", json={"user_input": "count to 3", "dialog_id": "d"}, headers=ann)
    done = json.loads(asked.text.split("event: done\ndata: ")[1].split("\n")[0])["data"]
    (row,) = data_of(client.get(USAGE, headers=ann))
    assert row["day"] == f"{datetime.now(UTC):%Y-%m-%d}"
    assert (row["runs"], row["attempts"]) == (1, 1)
    for name in ("input_tokens", "output_tokens"):
        assert row[name] == done["usage"][name] > 0
    (row,) = data_of(client.get(USAGE, params={"group_by": "agent"}, headers=ann))
    assert row["agent_id"] == "default"


def test_usage_stays_when_its_dialog_is_deleted(client: Client, ann: Headers) -> None:
    client.post("/api/v1/chat", json={"user_input": "count to 3", "dialog_id": "d"}, headers=ann)
    before = data_of(client.get(USAGE, headers=ann))
    data_of(client.request("DELETE", "/api/v1/dialog", json={"dialog_id": "d"}, headers=ann))
    assert data_of(client.get(USAGE, headers=ann)) == before != []


def test_without_a_quota_one_sees_what_is_used(client: Client, ann: Headers) -> None:
    client.post("/api/v1/chat", json={"user_input": "count to 3", "dialog_id": "d"}, headers=ann)
    state = data_of(client.get(f"{USAGE}/quota", headers=ann))
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    assert state["resets_at"] == f"{tomorrow:%Y-%m-%d}T00:00:00.000Z"
    assert state["tokens"]["used"] > 0
    assert state["tokens"]["limit"] is state["tokens"]["left"] is None
    assert (state["runs"]["used"], state["costs"], state["open_runs"]) == (1, [], 0)
