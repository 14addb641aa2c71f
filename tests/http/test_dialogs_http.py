"""Dialogs over HTTP, on every database."""

from typing import Any
from urllib.parse import quote

import pytest

from http_answers import Client, Headers, Register, code_of, data_of


@pytest.fixture
def ann(register: Register) -> Headers:
    return register("ann")


@pytest.fixture
def bob(register: Register) -> Headers:
    return register("bob")


def make(client: Client, user: Headers, **fields: Any) -> Any:
    return data_of(client.post("/api/v1/dialog", json=fields, headers=user))


def test_a_dialog_without_anything_is_with_the_default_agent(client: Client, ann: Headers) -> None:
    default = data_of(client.get("/api/v1/agent", headers=ann))[0]
    made = data_of(client.post("/api/v1/dialog", headers=ann))
    assert (made["agent_id"], made["agent_name"]) == (default["agent_id"], default["name"])
    assert made["name"] == "New dialog"
    assert data_of(client.get("/api/v1/dialog/list", headers=ann)) == [made]
    assert data_of(client.get(f"/api/v1/dialog/{made['dialog_id']}", headers=ann)) == made


def test_a_dialog_shows_its_agent_as_it_is_and_as_it_was(client: Client, ann: Headers) -> None:
    body = {"name": "helper", "logo_url": "/a.png"}
    agent_id = data_of(client.post("/api/v1/agent", json=body, headers=ann))["agent_id"]
    made = make(client, ann, name="talk", agent_id=agent_id)
    assert (made["name"], made["agent_name"], made["logo_url"]) == ("talk", "helper", "/a.png")
    data_of(client.put("/api/v1/agent", json={"agent_id": agent_id, "name": "renamed"}, headers=ann))
    assert data_of(client.get("/api/v1/dialog/list", headers=ann))[0]["agent_name"] == "renamed"
    data_of(client.request("DELETE", "/api/v1/agent", json={"agent_id": agent_id}, headers=ann))
    kept = data_of(client.get(f"/api/v1/dialog/{made['dialog_id']}", headers=ann))
    assert (kept["agent_name"], kept["logo_url"]) == ("renamed", "/a.png")
    assert data_of(client.get(f"/api/v1/history?dialog_id={made['dialog_id']}", headers=ann)) == []


def test_a_dialog_is_renamed(client: Client, ann: Headers) -> None:
    made = make(client, ann)
    body = {"dialog_id": made["dialog_id"], "name": " 新名称 "}
    renamed = data_of(client.put("/api/v1/dialog", json=body, headers=ann))
    assert renamed == made | {"name": "新名称", "update_time": renamed["update_time"]}
    assert data_of(client.get("/api/v1/dialog/list", headers=ann)) == [renamed]
    for name in ("", "a\nb", "x" * 129):
        refused = client.put("/api/v1/dialog", json=body | {"name": name}, headers=ann)
        assert code_of(refused, 422) == "invalid_value"


def test_a_deleted_dialog_is_gone_with_its_messages(client: Client, ann: Headers) -> None:
    ask(client, ann, "d1")
    assert data_of(client.request("DELETE", "/api/v1/dialog", json={"dialog_id": "d1"}, headers=ann)) is None
    assert code_of(client.get("/api/v1/history?dialog_id=d1", headers=ann), 404) == "dialog_not_found"
    again = client.request("DELETE", "/api/v1/dialog?dialog_id=d1", headers=ann)
    assert code_of(again, 404) == "dialog_not_found"
    assert data_of(client.get("/api/v1/dialog/list", headers=ann)) == []


def ask(client: Client, user: Headers, dialog_id: str, question: str = "hi") -> None:
    body = {"dialog_id": dialog_id, "user_input": question}
    response = client.post("/api/v1/chat", json=body, headers=user)
    assert response.status_code == 200, response.text
    assert "event: done" in response.text


OWN_IDS = ["a/b", "对话 1", "list", "a?b#c", "x" * 128, "😀", "a//b", "+", "a%b", "/", "a/"]


def test_ids_of_the_client_s_own_are_found_by_address_and_by_query(client: Client, ann: Headers) -> None:
    for dialog_id in OWN_IDS:
        ask(client, ann, dialog_id)
    assert [one["id"] for one in data_of(client.get("/api/v1/dialog/list", headers=ann))] == OWN_IDS[::-1]
    for dialog_id in OWN_IDS:
        if dialog_id != "list":
            found = data_of(client.get(f"/api/v1/dialog/{quote(dialog_id, safe='')}", headers=ann))
            assert found["dialog_id"] == dialog_id
        query = {"dialog_id": dialog_id}
        assert data_of(client.get("/api/v1/dialog", params=query, headers=ann))["id"] == dialog_id
        assert len(data_of(client.get("/api/v1/history", params=query, headers=ann))) == 2
        data_of(client.request("DELETE", "/api/v1/dialog", json=query, headers=ann))
    assert data_of(client.get("/api/v1/dialog/list", headers=ann)) == []


def test_a_dialog_id_belongs_to_its_user(client: Client, ann: Headers, bob: Headers) -> None:
    ask(client, ann, "dialog-123", "secret of ann")
    assert code_of(client.get("/api/v1/dialog/dialog-123", headers=bob), 404) == "dialog_not_found"
    assert code_of(client.get("/api/v1/history?dialog_id=dialog-123", headers=bob), 404) == "dialog_not_found"
    ask(client, bob, "dialog-123", "hello from bob")
    assert "secret of ann" not in client.get("/api/v1/history?dialog_id=dialog-123", headers=bob).text
    data_of(client.request("DELETE", "/api/v1/dialog", json={"dialog_id": "dialog-123"}, headers=bob))
    assert "secret of ann" in client.get("/api/v1/history?dialog_id=dialog-123", headers=ann).text


def test_pages_together_are_the_list(client: Client, ann: Headers) -> None:
    for number in range(5):
        make(client, ann, name=f"dialog {number}")
    whole = data_of(client.get("/api/v1/dialog/list", headers=ann))
    assert [one["name"] for one in whole] == [f"dialog {number}" for number in range(4, -1, -1)]
    first = client.get("/api/v1/dialog/list?limit=2", headers=ann)
    second = client.get("/api/v1/dialog/list", params={"limit": 3, "cursor": first.json()["next_cursor"]}, headers=ann)
    assert data_of(first) + data_of(second) == whole
    assert "next_cursor" not in second.json()


def test_a_list_is_one_statement(client: Client, ann: Headers, statements: Any) -> None:
    ask(client, ann, "d1")
    for path in ("/api/v1/dialog/list", "/api/v1/history?dialog_id=d1", "/api/v1/dialog/d1", "/api/v1/llm/all"):
        statements.clear()
        data_of(client.get(path, headers=ann))
        assert len(statements) == 1, (path, statements.texts)


def test_a_dialog_with_an_agent_that_is_not_there_is_refused(client: Client, ann: Headers) -> None:
    assert code_of(client.post("/api/v1/dialog", json={"agent_id": "gone"}, headers=ann), 404) == "agent_not_found"
    assert data_of(client.get("/api/v1/dialog/list", headers=ann)) == []
