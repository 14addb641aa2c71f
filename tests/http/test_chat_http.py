"""Chat over HTTP: what is refused is refused before the first byte, as an envelope; what is answered is kept."""

import json
from typing import Any

import pytest

from http_answers import Client, Headers, Register, code_of, data_of

CHAT = "/api/v1/chat"


@pytest.fixture
def ann(register: Register) -> Headers:
    return register("ann")


def frames(response: Any) -> list[tuple[str, Any]]:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/event-stream")
    blocks = [block for block in response.text.split("\n\n") if block and not block.startswith(":")]
    fields = [dict(line.split(": ", 1) for line in block.split("\n")) for block in blocks]
    return [(one["event"], json.loads(one["data"])["data"]) for one in fields]


def ask(client: Client, user: Headers, **body: Any) -> Any:
    return client.post(CHAT, json={"user_input": "1+1?", "dialog_id": "d", **body}, headers=user)


@pytest.mark.parametrize("path", [CHAT, "/api/v1/completion"])
def test_the_default_agent_answers_and_uses_its_tools_without_any_key(client: Client, ann: Headers, path: str) -> None:
    response = client.post(path, json={"user_input": "12*34", "dialog_id": "dialog-123"}, headers=ann)
    events = frames(response)
    steps = [data for kind, data in events if kind == "event"]
    assert [step["status"] for step in steps] == ["START", "END"]
    assert steps[0]["tool_name"] == "calculator"
    kind, done = events[-1]
    assert kind == "done"
    assert "408" in done["content"]
    assert set(done) == {
        "status", "content", "message_id", "run_id", "dialog_id", "model", "usage", "citations", "finish_reason",
    }  # fmt: skip
    question, answer = data_of(client.get("/api/v1/history?dialog_id=dialog-123", headers=ann))
    assert (question["role"], question["content"]) == ("user", "12*34")
    assert (answer["role"], answer["content"], answer["message_id"]) == (
        "assistant",
        done["content"],
        done["message_id"],
    )
    assert answer["events"] == steps
    assert data_of(client.get("/api/v1/dialog/list", headers=ann))[0]["name"] == "12*34"


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"user_input": ""}, 422, "user_input"),
        ({"user_input": " \n\t"}, 422, "user_input"),
        ({"user_input": "a\x00b"}, 422, "user_input"),
        ({"user_input": 7}, 422, "user_input"),
        ({"user_input": None}, 422, "user_input"),
        ({"user_input": "x" * 100_001}, 413, "user_input"),
        ({"dialog_id": ""}, 422, "dialog_id"),
        ({"dialog_id": "d" * 129}, 422, "dialog_id"),
        ({"dialog_id": "two\nlines"}, 422, "dialog_id"),
        ({"dialog_id": ["d"]}, 422, "dialog_id"),
        ({"file_url": "http://169.254.169.254/latest"}, 422, "file_url"),
        ({"file_url": ["file:///etc/passwd"]}, 422, "file_url"),
        ({"background": "perhaps"}, 422, "background"),
    ],
)
def test_a_bad_question_is_refused_and_leaves_no_dialog(
    client: Client, ann: Headers, body: dict[str, Any], status: int, field: str
) -> None:
    response = ask(client, ann, **body)
    code_of(response, status)
    assert [one["name"] for one in response.json()["error"]["fields"]] == [field]
    assert data_of(client.get("/api/v1/dialog/list", headers=ann)) == []


def test_an_agent_that_is_not_there_is_404(client: Client, ann: Headers, register: Register) -> None:
    theirs = data_of(client.post("/api/v1/agent", json={"name": "mine"}, headers=register("bob")))["agent_id"]
    for agent_id in (theirs, "nobody's"):
        assert code_of(ask(client, ann, agent_id=agent_id), 404) == "agent_not_found"


def test_an_agent_without_a_key_says_what_to_set(client: Client, ann: Headers) -> None:
    made = data_of(client.post("/api/v1/agent", json={"name": "four", "llm_id": "gpt-4"}, headers=ann))
    (failed, why), (_, done) = frames(ask(client, ann, agent_id=made["agent_id"]))
    assert failed == "error"
    assert (why["code"], why["retryable"]) == ("model_not_configured", False)
    assert "OPENAI_API_KEY" in why["message"]
    assert done["status"] == "failed"
    assert frames(ask(client, ann, agent_id="default"))[-1][1]["status"] == "complete"


def test_a_finished_run_is_shown_and_followed_again_by_its_owner_alone(
    client: Client, ann: Headers, register: Register
) -> None:
    response = ask(client, ann)
    run_id = response.headers["x-run-id"]
    shown = data_of(client.get(f"{CHAT}/{run_id}", headers=ann))
    assert (shown["run_id"], shown["status"]) == (run_id, "complete")
    again = client.get(f"{CHAT}/{run_id}/events", headers=ann)
    assert frames(again) == frames(response)
    rest = client.get(f"{CHAT}/{run_id}/events?after={run_id}:2", headers=ann)
    assert frames(rest) == frames(response)[2:]
    assert frames(client.get(f"{CHAT}/{run_id}/events?after={shown['last_event_id']}", headers=ann)) == []
    for wrong in ("nonsense", f"{run_id}:9999", f"{run_id}:-1", "other:1"):
        assert code_of(client.get(f"{CHAT}/{run_id}/events?after={wrong}", headers=ann), 422) == "invalid_value"
    bob = register("bob")
    assert code_of(client.get(f"{CHAT}/{run_id}", headers=bob), 404) == "run_not_found"
    assert code_of(client.get(f"{CHAT}/{run_id}/events", headers=bob), 404) == "run_not_found"
    assert code_of(client.post(f"{CHAT}/stop", json={"run_id": "none"}, headers=ann), 404) == "run_not_found"
    assert code_of(client.post(f"{CHAT}/stop", json={}, headers=ann), 422) == "invalid_value"


def test_the_token_of_a_deleted_user_asks_nothing(client: Client, ann: Headers) -> None:
    body = {"user_password": "test"}
    data_of(client.request("DELETE", "/api/v1/user/delete", json=body, headers=ann))
    assert code_of(ask(client, ann), 401) == "account_gone"
    assert code_of(client.get(f"{CHAT}/anything", headers=ann), 401) == "account_gone"
