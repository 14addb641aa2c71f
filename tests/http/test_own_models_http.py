"""Models of one's own over HTTP: made, shown without their keys, tried, and nobody else's."""

import json
from typing import Any

import pytest

from http_answers import Client, Headers, Register, code_of, data_of

LLM = "/api/v1/llm"
KEY = "sk-0123456789abcdefWXYZ"
MODEL = {"model": "gpt-4o", "provider": "openai", "api_key": KEY, "llm_type": "LLM"}
LOCAL = {"model": "m", "provider": "openai_compatible", "base_url": "http://127.0.0.1:9/v1", "api_key": KEY}
PRICES = {"input": 1.5, "output": 2.0, "cached_input": None, "currency": "EUR"}


@pytest.fixture
def ann(register: Register) -> Headers:
    return register("ann")


@pytest.fixture
def bob(register: Register) -> Headers:
    return register("bob")


def create(client: Client, user: Headers, **fields: Any) -> str:
    made = data_of(client.post(f"{LLM}/create", json=MODEL | fields, headers=user))
    assert set(made) == {"llm_id"}
    return str(made["llm_id"])


def shown(client: Client, user: Headers, llm_id: str) -> Any:
    return data_of(client.get(f"{LLM}/{llm_id}", headers=user))


def update(client: Client, user: Headers, **fields: Any) -> Any:
    return client.put(f"{LLM}/update", json=fields, headers=user)


def remove(client: Client, user: Headers, **fields: Any) -> Any:
    return client.request("DELETE", f"{LLM}/delete", json=fields, headers=user)


def test_a_model_is_made_shown_listed_changed_and_removed(client: Client, ann: Headers) -> None:
    llm_id = create(client, ann, context_window=1000, vision=True, prices=PRICES, fallbacks=["offline"])
    made = shown(client, ann, llm_id)
    expected: dict[str, Any] = {"model": "gpt-4o", "provider": "openai", "api_key": "sk-…WXYZ", "available": True}
    expected |= {"prices": PRICES, "fallbacks": ["offline"], "base_url": None, "id": llm_id}
    assert {name: made[name] for name in expected} == expected
    assert made["user_id"] == data_of(client.get("/api/v1/user/info", headers=ann))["user_id"]
    assert data_of(client.post(f"{LLM}/personal", headers=ann)) == [made]
    for listed in (client.get(f"{LLM}/all", headers=ann), client.post(f"{LLM}/visible", headers=ann)):
        assert data_of(listed)[0] == made
        assert data_of(listed)[1]["user_id"] is None
    found = client.post(f"{LLM}/search", json={"llm_name": "GPT-4O"}, headers=ann)
    assert data_of(found)[0] == made
    changed = data_of(update(client, ann, llm_id=llm_id, model="gpt-5", api_key="sk-…WXYZ", prices=None))
    assert changed == made | {"model": "gpt-5", "prices": None, "update_time": changed["update_time"]}
    assert shown(client, ann, llm_id) == changed
    assert data_of(update(client, ann, **{**changed, "llm_id": llm_id, "api_key": "tiny"}))["api_key"] == "…"
    assert data_of(remove(client, ann, llm_id=llm_id)) is None
    assert data_of(client.post(f"{LLM}/personal", headers=ann)) == []
    assert code_of(client.get(f"{LLM}/{llm_id}", headers=ann), 404) == "llm_not_found"
    second = create(client, ann, **LOCAL)
    assert data_of(client.delete(f"{LLM}/delete", params={"llm_id": second}, headers=ann)) is None


def test_a_local_server_needs_no_key(client: Client, ann: Headers) -> None:
    llm_id = create(client, ann, **{**LOCAL, "api_key": ""})
    assert shown(client, ann, llm_id)["api_key"] == ""
    assert code_of(client.post(f"{LLM}/create", json=MODEL | {"api_key": ""}, headers=ann), 422) == "invalid_value"


def test_a_stranger_finds_none_of_it(client: Client, ann: Headers, bob: Headers) -> None:
    llm_id = create(client, ann)
    attempts = (
        client.get(f"{LLM}/{llm_id}", headers=bob),
        update(client, bob, llm_id=llm_id, model="stolen"),
        remove(client, bob, llm_id=llm_id),
        client.post(f"{LLM}/test", json={"llm_id": llm_id}, headers=bob),
        client.post("/api/v1/agent", json={"name": "thief", "llm_id": llm_id}, headers=bob),
        client.post(f"{LLM}/create", json=MODEL | {"fallbacks": [llm_id]}, headers=bob),
    )
    assert [code_of(one, 404) for one in attempts] == ["llm_not_found"] * len(attempts)
    assert llm_id not in client.get(f"{LLM}/all", headers=bob).text
    assert shown(client, ann, llm_id)["model"] == "gpt-4o"


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ({"provider": "magic"}, 422),
        ({"provider": "offline"}, 422),
        ({"provider": "openai_compatible"}, 422),
        ({"model": ""}, 422),
        ({"api_key": "two words"}, 422),
        ({"api_key": "x" * 2000}, 422),
        ({"base_url": "file:///etc/passwd"}, 422),
        ({"context_window": 0}, 422),
        ({"max_concurrent": 1 << 70}, 422),
        ({"prices": {"input": 1}}, 422),
        ({"fallbacks": ["gone"]}, 404),
        ({"llm_type": "Embedding", "provider": "anthropic"}, 422),
    ],
)
def test_what_can_t_be_a_model_is_refused_and_the_key_not_repeated(
    client: Client, ann: Headers, said: dict[str, Any], status: int
) -> None:
    refused = client.post(f"{LLM}/create", json=MODEL | said, headers=ann)
    code_of(refused, status)
    assert KEY not in refused.text
    assert str(said.get("api_key", KEY)) not in refused.text
    assert data_of(client.post(f"{LLM}/personal", headers=ann)) == []


def test_a_key_is_not_taken_to_another_server(client: Client, ann: Headers) -> None:
    llm_id = create(client, ann, **LOCAL)
    moved = update(client, ann, llm_id=llm_id, base_url="https://thief.example.org/v1")
    assert code_of(moved, 422) == "auth_needed_again"
    tried = client.post(f"{LLM}/test", json={"llm_id": llm_id, "base_url": "https://thief.example.org"}, headers=ann)
    assert code_of(tried, 422) == "auth_needed_again"


def test_system_models_are_nobody_s_to_change(client: Client, ann: Headers) -> None:
    assert code_of(update(client, ann, llm_id="offline", model="x"), 404) == "llm_not_found"
    assert code_of(remove(client, ann, llm_id="offline"), 404) == "llm_not_found"
    assert code_of(remove(client, ann), 422) == "invalid_value"


@pytest.mark.parametrize("kind", ["LLM", "Embedding"])
def test_a_trial_at_a_private_address_is_refused_in_clear_words(client: Client, ann: Headers, kind: str) -> None:
    stored = create(client, ann, **LOCAL, llm_type=kind)
    for body in (LOCAL | {"llm_type": kind}, {"llm_id": stored}):
        tried = client.post(f"{LLM}/test", json=body, headers=ann)
        told = data_of(tried)
        assert (told["ok"], told["answer"], told["code"]) == (False, None, "model_address_refused")
        assert "private" in told["message"]
        assert "network.allow_private" in told["advice"]
        assert KEY not in tried.text


def test_a_system_model_can_be_tried_and_what_lacks_a_key_says_so(client: Client, ann: Headers) -> None:
    told = data_of(client.post(f"{LLM}/test", json={"llm_id": "offline"}, headers=ann))
    assert told["ok"]
    assert told["answer"]
    assert told["latency_ms"] >= 0
    told = data_of(client.post(f"{LLM}/test", json={"llm_id": "gpt-4"}, headers=ann))
    assert (told["ok"], told["code"]) == (False, "model_not_configured")
    assert code_of(client.post(f"{LLM}/test", json={}, headers=ann), 422) == "invalid_value"
    assert code_of(client.post(f"{LLM}/test", json={"llm_id": "gone"}, headers=ann), 404) == "llm_not_found"


def test_so_many_trials_a_minute_and_no_more(client: Client, ann: Headers, bob: Headers) -> None:
    body = {"llm_id": "gpt-4"}
    answers = [client.post(f"{LLM}/test", json=body, headers=ann) for _ in range(12)]
    assert [one.status_code for one in answers] == [200] * 10 + [429] * 2
    assert code_of(answers[-1], 429) == "too_many_trials"
    data_of(client.post(f"{LLM}/test", json=body, headers=bob))


def test_an_answer_that_an_own_model_can_t_give_says_why(client: Client, ann: Headers) -> None:
    llm_id = create(client, ann, **LOCAL)
    agent = data_of(client.post("/api/v1/agent", json={"name": "a", "llm_id": llm_id}, headers=ann))
    asked = {"user_input": "hi", "dialog_id": "d", "agent_id": agent["agent_id"]}
    answer = client.post("/api/v1/chat", json=asked, headers=ann)
    assert "model_address_refused" in answer.text
    assert KEY not in answer.text
    data_of(remove(client, ann, llm_id=llm_id))
    again = client.post("/api/v1/chat", json=asked, headers=ann)
    lines = [line for line in again.text.splitlines() if line.startswith("data:") and '"done"' in line]
    assert json.loads(lines[-1].removeprefix("data:"))["data"]["model"] == "offline"


@pytest.mark.parametrize("host", ["0177.0.0.1", "１２７.０.０.１", "ⓛocalhost", "[v1.x]"])
def test_a_host_with_more_than_one_reading_is_no_base_url(client: Client, ann: Headers, host: str) -> None:
    bad = LOCAL | {"base_url": f"http://{host}/"}
    llm_id = create(client, ann, **LOCAL)
    for path, body in (("create", bad), ("test", bad), ("test", {"llm_id": llm_id, "base_url": bad["base_url"]})):
        assert code_of(client.post(f"{LLM}/{path}", json=body, headers=ann), 422) == "invalid_value"
    assert code_of(update(client, ann, llm_id=llm_id, base_url=bad["base_url"]), 422) == "invalid_value"


def test_what_is_refused_is_not_sent_back_whole(client: Client, ann: Headers) -> None:
    hostile = " - at `$." + "x" * 100_000
    refused = client.post(f"{LLM}/create", json=MODEL | {"provider": hostile}, headers=ann)
    assert code_of(refused, 422) == "invalid_value"
    assert [one["name"] for one in refused.json()["error"]["fields"]] == ["provider"]
    refused = client.post(f"{LLM}/create", json=MODEL | {"provider": "x" * 100_000}, headers=ann)
    assert len(refused.content) < 1000
