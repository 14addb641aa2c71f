"""Memory over HTTP: told in one dialog, used in another, shown, forgotten; and nobody else's."""

import json
import time
from typing import Any

import pytest

from http_answers import Client, Headers, Register, code_of, data_of

MEMORY = "/api/v1/memory"


@pytest.fixture
def ann(register: Register) -> Headers:
    return register("ann")


def agent_of(client: Client, user: Headers, name: str = "Ada", **fields: Any) -> str:
    body = {"name": name, "enable_memory": True, "llm_id": "offline", **fields}
    return str(data_of(client.post("/api/v1/agent", json=body, headers=user))["agent_id"])


def ask(client: Client, user: Headers, agent_id: str, text: str, dialog_id: str) -> str:
    body = {"user_input": text, "dialog_id": dialog_id, "agent_id": agent_id}
    response = client.post("/api/v1/chat", json=body, headers=user)
    assert response.status_code == 200, response.text
    done = [block for block in response.text.split("\n\n") if "event: done\n" in block]
    return str(json.loads(done[0].split("data: ", 1)[1])["data"]["content"])


def memories(client: Client, user: Headers, **parameters: Any) -> Any:
    return data_of(client.get(MEMORY, params=parameters, headers=user))


def contents(client: Client, user: Headers, **parameters: Any) -> set[str]:
    return {one["content"] for one in memories(client, user, **parameters)}


def learnt(client: Client, user: Headers, *expected: str, **parameters: Any) -> Any:
    """Once what is expected was learnt by the job."""
    deadline = time.monotonic() + 20
    while contents(client, user, **parameters) != set(expected):
        assert time.monotonic() < deadline, memories(client, user, **parameters)
        time.sleep(0.02)
    return memories(client, user, **parameters)


def forget(client: Client, user: Headers, body: Any = None, **parameters: Any) -> Any:
    return client.request("DELETE", MEMORY, json=body, params=parameters, headers=user)


NAME, HOME = "The user's name is Ada.", "The user lives in Rome."


def test_told_in_one_dialog_used_in_another_and_gone_after_deletion(client: Client, ann: Headers) -> None:
    agent_id = agent_of(client, ann)
    ask(client, ann, agent_id, "My name is Ada. I live in Rome.", "first")
    shown = learnt(client, ann, NAME, HOME)
    question = data_of(client.get("/api/v1/history?dialog_id=first", headers=ann))[0]
    for one in shown:
        assert (one["agent_id"], one["dialog_id"], one["message_id"]) == (agent_id, "first", question["message_id"])
        assert data_of(client.get(f"{MEMORY}/{one['memory_id']}", headers=ann)) == one
    assert set(shown[0]) == {
        *("memory_id", "id", "content", "agent_id", "dialog_id", "message_id", "create_time", "update_time"),
    }
    assert NAME in ask(client, ann, agent_id, "What is my name?", "second")
    assert HOME in ask(client, ann, agent_id, "Where do I live?", "second")
    assert "Ada" not in ask(client, ann, agent_of(client, ann, "Bob"), "What is my name?", "third")
    (name,) = [one["memory_id"] for one in shown if one["content"] == NAME]
    data_of(forget(client, ann, {"memory_id": name}))
    assert contents(client, ann) == {HOME}
    assert NAME not in ask(client, ann, agent_id, "What is my name?", "fourth")
    assert code_of(forget(client, ann, {"memory_id": name}), 404) == "memory_not_found"
    data_of(client.request("DELETE", "/api/v1/dialog", json={"dialog_id": "first"}, headers=ann))
    assert memories(client, ann) == []
    assert HOME not in ask(client, ann, agent_id, "Where do I live?", "fifth")


def test_all_can_be_forgotten_of_one_agent_or_of_every(client: Client, ann: Headers) -> None:
    one, other = agent_of(client, ann), agent_of(client, ann, "Bob")
    for number, agent_id in enumerate((one, other)):
        ask(client, ann, agent_id, "My name is Ada.", f"d{number}")
        learnt(client, ann, NAME, agent_id=agent_id)
    data_of(forget(client, ann, {"all": True, "agent_id": one}))
    assert (memories(client, ann, agent_id=one), contents(client, ann, agent_id=other)) == ([], {NAME})
    data_of(forget(client, ann, {"all": True}))
    assert memories(client, ann) == []
    ask(client, ann, other, "I like tea.", "d1")
    learnt(client, ann, "The user likes tea.")


def test_nothing_is_kept_while_it_is_off_and_what_was_learnt_rests(client: Client, ann: Headers) -> None:
    agent_id = agent_of(client, ann)
    ask(client, ann, agent_id, "My name is Ada.", "a")
    learnt(client, ann, NAME)
    data_of(client.put("/api/v1/agent", json={"agent_id": agent_id, "enable_memory": False}, headers=ann))
    ask(client, ann, agent_id, "I live in Rome.", "b")
    assert "Ada" not in ask(client, ann, agent_id, "What is my name?", "c")
    data_of(client.put("/api/v1/agent", json={"agent_id": agent_id, "enable_memory": True}, headers=ann))
    assert "Ada" in ask(client, ann, agent_id, "What is my name?", "d")
    ask(client, ann, agent_id, "I like tea.", "b")
    learnt(client, ann, NAME, "The user likes tea.")


def test_another_users_memories_can_neither_be_seen_nor_forgotten(
    client: Client, ann: Headers, register: Register
) -> None:
    agent_id = agent_of(client, ann)
    ask(client, ann, agent_id, "My name is Ada.", "d")
    (kept,) = learnt(client, ann, NAME)
    bob = register("bob")
    assert memories(client, bob) == memories(client, bob, agent_id=agent_id) == []
    assert code_of(client.get(f"{MEMORY}/{kept['memory_id']}", headers=bob), 404) == "memory_not_found"
    assert code_of(forget(client, bob, {"memory_id": kept["memory_id"]}), 404) == "memory_not_found"
    assert code_of(forget(client, bob, {"all": True, "agent_id": agent_id}), 404) == "agent_not_found"
    data_of(forget(client, bob, {"all": True}))
    assert memories(client, ann) == [kept]
    own = agent_of(client, bob)
    assert "Ada" not in ask(client, bob, own, "What is my name?", "d")
    data_of(client.request("DELETE", "/api/v1/agent", json={"agent_id": agent_id}, headers=ann))
    assert memories(client, ann) == []


@pytest.mark.parametrize(
    "body",
    [
        None,
        {},
        {"all": False},
        {"memory_id": "x", "all": True},
        {"memory_id": ""},
        {"memory_id": "x", "agent_id": "a"},
        {"agent_id": "a"},
        {"all": "yes"},
        {"memory_id": 7},
        {"memory_id": "a\x00b"},
    ],
)
def test_what_is_to_be_forgotten_must_be_said_clearly(client: Client, ann: Headers, body: Any) -> None:
    assert code_of(forget(client, ann, body), 422) == "invalid_value"


def test_an_id_goes_in_the_query_too_and_two_must_agree(client: Client, ann: Headers) -> None:
    assert code_of(forget(client, ann, memory_id="nowhere"), 404) == "memory_not_found"
    assert code_of(forget(client, ann, {"memory_id": "a"}, memory_id="b"), 422) == "invalid_value"
    assert code_of(forget(client, ann, {"all": True}, memory_id="b"), 422) == "invalid_value"
    assert code_of(forget(client, ann, memory_id="a\x00b"), 404) == "memory_not_found"


def test_pages_are_cut_and_need_a_caller(client: Client, ann: Headers) -> None:
    agent_id = agent_of(client, ann)
    ask(client, ann, agent_id, "My name is Ada. I live in Rome. I like tea.", "d")
    whole = learnt(client, ann, NAME, HOME, "The user likes tea.")
    first = client.get(MEMORY, params={"limit": 2}, headers=ann).json()
    rest = client.get(MEMORY, params={"limit": 2, "cursor": first["next_cursor"]}, headers=ann).json()
    assert first["data"] + rest["data"] == whole
    assert "next_cursor" not in rest
    assert code_of(client.get(MEMORY, params={"limit": 0}, headers=ann), 422) == "invalid_value"
    assert client.get(MEMORY).status_code == client.request("DELETE", MEMORY, json={"all": True}).status_code == 401
