"""Agents, as a client of the reference uses them, on every database."""

from typing import Any
from unicodedata import normalize

import pytest

from http_answers import Client, Headers, Register, code_of, data_of

CURL_EXAMPLE = {
    "name": "我的助手",
    "description": "一个智能助手",
    "tool_ids": [],
    "llm_id": "gpt-4",
    "knowledge_ids": [],
    "enable_memory": True,
    "system_prompt": "你是一个有用的助手",
    "logo_url": "",
}


@pytest.fixture
def ann(register: Register) -> Headers:
    return register("ann")


@pytest.fixture
def bob(register: Register) -> Headers:
    return register("bob")


def make(client: Client, user: Headers, name: str = "one", **fields: Any) -> Any:
    return data_of(client.post("/api/v1/agent", json={"name": name} | fields, headers=user))


def names(response: Any) -> list[str]:
    return [one["name"] for one in data_of(response) if one["is_custom"]]


def test_the_reference_s_example_works_as_printed(client: Client, ann: Headers) -> None:
    made = data_of(client.post("/api/v1/agent", json=CURL_EXAMPLE, headers=ann))
    assert CURL_EXAMPLE.items() <= made.items()
    assert made["id"] == made["agent_id"]
    assert (made["version"], made["is_custom"]) == (1, True)
    assert data_of(client.get(f"/api/v1/agent/{made['agent_id']}", headers=ann)) == made
    assert made in data_of(client.get("/api/v1/agent", headers=ann))


def test_everyone_has_the_default_agent_and_nobody_changes_it(client: Client, ann: Headers) -> None:
    (default,) = data_of(client.get("/api/v1/agent", headers=ann))
    assert (default["user_id"], default["is_custom"]) == (None, False)
    body = {"agent_id": default["agent_id"], "name": "mine"}
    assert code_of(client.put("/api/v1/agent", json=body, headers=ann), 403) == "agent_built_in"
    assert code_of(client.request("DELETE", "/api/v1/agent", json=body, headers=ann), 403) == "agent_built_in"


def test_a_change_touches_only_what_is_present(client: Client, ann: Headers) -> None:
    made = data_of(client.post("/api/v1/agent", json=CURL_EXAMPLE, headers=ann))
    body = {"agent_id": made["agent_id"], "name": "new", "description": None, "llm_id": ""}
    changed = data_of(client.put("/api/v1/agent", json=body, headers=ann))
    assert changed == made | {
        "name": "new",
        "llm_id": "",
        "version": 2,
        "update_time": changed["update_time"],
    }
    assert changed["update_time"] >= made["update_time"]
    assert data_of(client.get(f"/api/v1/agent/{made['agent_id']}", headers=ann)) == changed


def test_a_stale_version_changes_nothing(client: Client, ann: Headers) -> None:
    agent_id = make(client, ann)["agent_id"]
    data_of(client.put("/api/v1/agent", json={"agent_id": agent_id, "name": "two", "version": 1}, headers=ann))
    stale = client.put("/api/v1/agent", json={"agent_id": agent_id, "name": "three", "version": 1}, headers=ann)
    assert code_of(stale, 409) == "agent_version_stale"
    assert names(client.get("/api/v1/agent", headers=ann)) == ["two"]


def test_names_are_unique_per_user_whatever_their_case(client: Client, ann: Headers, bob: Headers) -> None:
    make(client, ann, "Straße")
    assert code_of(client.post("/api/v1/agent", json={"name": "STRASSE"}, headers=ann), 409) == "agent_name_taken"
    make(client, bob, "Straße")
    other = make(client, ann, "other")
    body = {"agent_id": other["agent_id"], "name": "strasse"}
    assert code_of(client.put("/api/v1/agent", json=body, headers=ann), 409) == "agent_name_taken"


def test_a_deleted_agent_is_gone(client: Client, ann: Headers) -> None:
    agent_id = make(client, ann)["agent_id"]
    assert data_of(client.request("DELETE", "/api/v1/agent", json={"agent_id": agent_id}, headers=ann)) is None
    assert code_of(client.get(f"/api/v1/agent/{agent_id}", headers=ann), 404) == "agent_not_found"
    assert names(client.get("/api/v1/agent", headers=ann)) == []
    again = client.request("DELETE", "/api/v1/agent", json={"agent_id": agent_id}, headers=ann)
    assert code_of(again, 404) == "agent_not_found"


def test_a_search_takes_its_words_literally(client: Client, ann: Headers, bob: Headers) -> None:
    for name in ("100% sure", "1000", "snake_case", "snakeXcase", "Ünïcode", "back\\slash"):
        make(client, ann, name)
    make(client, bob, "100% bob")
    found = {
        words: sorted(names(client.post("/api/v1/agent/search", json={"name": words}, headers=ann)))
        for words in ("0%", "e_c", "ÜNÏ", "\\", "SNAKE", "absent", "%")
    }
    assert found == {
        "0%": ["100% sure"],
        "e_c": ["snake_case"],
        "ÜNÏ": ["Ünïcode"],
        "\\": ["back\\slash"],
        "SNAKE": ["snakeXcase", "snake_case"],
        "absent": [],
        "%": ["100% sure"],
    }


def test_pages_together_are_the_list(client: Client, ann: Headers) -> None:
    for number in range(7):
        make(client, ann, f"agent {number}")
    whole = data_of(client.get("/api/v1/agent", headers=ann))
    assert [one["name"] for one in whole][:7] == [f"agent {number}" for number in range(6, -1, -1)]
    seen: list[Any] = []
    query: dict[str, Any] = {"limit": 3}
    while True:
        response = client.get("/api/v1/agent", params=query, headers=ann)
        seen += data_of(response)
        if "next_cursor" not in response.json():
            break
        query["cursor"] = response.json()["next_cursor"]
    assert seen == whole


NOT_THERE = [
    ("llm_id", "gpt-none", "llm_not_found"),
    ("tool_ids", ["nothing"], "tool_not_found"),
    ("mcp_ids", ["nothing"], "mcp_server_not_found"),
    ("knowledge_ids", ["nothing"], "knowledge_not_found"),
]


def test_an_agent_points_at_nothing_that_is_not_there(client: Client, ann: Headers) -> None:
    agent_id = make(client, ann)["agent_id"]
    for field, value, code in NOT_THERE:
        assert code_of(client.post("/api/v1/agent", json={"name": "x", field: value}, headers=ann), 404) == code
        assert code_of(client.put("/api/v1/agent", json={"agent_id": agent_id, field: value}, headers=ann), 404) == code
    assert names(client.get("/api/v1/agent", headers=ann)) == ["one"]


def test_names_of_every_script_are_kept(client: Client, ann: Headers) -> None:
    for name in ("😀" * 64, "שלום", "e\u0301", "a" * 64, "名字", "👩‍👩‍👧"):
        assert make(client, ann, name)["name"] == normalize("NFC", name)


def test_somebody_else_s_agent_is_as_good_as_missing(client: Client, ann: Headers, bob: Headers) -> None:
    agent_id = make(client, ann)["agent_id"]
    for there, missing in zip(attempts(client, bob, agent_id), attempts(client, bob, "x" * 26), strict=True):
        assert there.status_code == missing.status_code == 404
        assert there.json()["error"]["code"] == missing.json()["error"]["code"]
        assert there.json()["status_message"].replace(agent_id, "x" * 26) == missing.json()["status_message"]
    assert names(client.get("/api/v1/agent", headers=ann)) == ["one"]


def attempts(client: Client, user: Headers, agent_id: str) -> list[Any]:
    return [
        client.get(f"/api/v1/agent/{agent_id}", headers=user),
        client.put("/api/v1/agent", json={"agent_id": agent_id, "name": "x"}, headers=user),
        client.request("DELETE", "/api/v1/agent", json={"agent_id": agent_id}, headers=user),
        client.post("/api/v1/dialog", json={"agent_id": agent_id}, headers=user),
    ]


def test_no_id_is_a_fault_of_ours(client: Client, ann: Headers) -> None:
    for agent_id in ("%00", "a%2Fb", "%E4%BD%A0%20%E5%A5%BD", "%FF", "x" * 200, "%2F", "%20", "%EE%80%80"):
        assert code_of(client.get(f"/api/v1/agent/{agent_id}", headers=ann), 404) == "agent_not_found"


def test_a_list_is_one_statement(client: Client, ann: Headers, statements: Any) -> None:
    make(client, ann)
    for path in ("/api/v1/agent", "/api/v1/agent?limit=5"):
        statements.clear()
        data_of(client.get(path, headers=ann))
        assert len(statements) == 1, statements.texts
    statements.clear()
    data_of(client.post("/api/v1/agent/search", json={"name": "o"}, headers=ann))
    assert len(statements) == 1, statements.texts


def test_a_deleted_account_sees_nothing(client: Client, ann: Headers) -> None:
    data_of(client.request("DELETE", "/api/v1/user/delete", json={"user_password": "test"}, headers=ann))
    assert code_of(client.get("/api/v1/agent", headers=ann), 401) == "account_gone"
    assert code_of(client.post("/api/v1/agent", json={"name": "x"}, headers=ann), 401) == "account_gone"
    assert code_of(client.get("/api/v1/agent/default", headers=ann), 401) == "account_gone"
