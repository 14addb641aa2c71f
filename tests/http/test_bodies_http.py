"""What bad bodies get: the field is named, JSON bombs and rubbish are 400, too much is 413, and never a 500."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from application.agents.agents import ChangeAgent, CreateAgent, DeleteAgent, SearchAgents
from application.paging import Page
from domain.agents.agents import Agent, AgentDraft
from domain.ids import AgentId, UserId
from entrypoints.http.app import HttpConfig
from http_answers import Client, code_of, data_of, http_alone

NOW = datetime(2026, 1, 2, 3, 4, 5, 999_999, tzinfo=UTC)
JSON = {"content-type": "application/json"}


class Makes:
    """Stands for CreateAgent and ChangeAgent: what comes through is what the body said."""

    async def __call__(self, actor: UserId, *given: Any, **_: Any) -> Agent:
        draft = next(one for one in given if isinstance(one, AgentDraft))
        return Agent.create(AgentId("a"), actor, draft, NOW)


class Finds:
    async def __call__(self, *_: Any) -> Page[Agent]:
        return Page(())


class Removes:
    def __init__(self) -> None:
        self.removed: list[str] = []

    async def __call__(self, _: UserId, agent_id: AgentId) -> None:
        self.removed.append(agent_id)


removes = Removes()


@pytest.fixture(scope="module")
def http() -> Iterator[Client]:
    cases = ((CreateAgent, Makes()), (ChangeAgent, Makes()), (SearchAgents, Finds()), (DeleteAgent, removes))
    with http_alone(*cases, config=HttpConfig(max_body_bytes=100_000)) as client:
        yield client


def post(http: Client, body: bytes, kind: str = "application/json") -> Any:
    return http.post("/api/v1/agent", content=body, headers={"content-type": kind})


def test_a_body_makes_an_agent_and_unknown_fields_are_ignored(http: Client) -> None:
    body = {"name": " 我的助手 ", "enable_memory": True, "unknown": {"deep": [1, {"a": None}]}, "llm_id": "gpt-4"}
    made = data_of(post(http, json.dumps(body).encode()))
    assert (made["name"], made["enable_memory"], made["llm_id"]) == ("我的助手", True, "gpt-4")
    assert made["create_time"] == "2026-01-02T03:04:05.999Z"


@pytest.mark.parametrize(
    ("body", "field", "message"),
    [
        (b'{"name":5}', "name", "expected string, got integer"),
        (b'{"name":null}', "name", "expected string, got null"),
        (b'{"name":["a"]}', "name", "expected string, got array"),
        (b"{}", "name", "is required"),
        (b'{"name":"a","tool_ids":"x"}', "tool_ids", "expected array, got string"),
        (b'{"name":"a","tool_ids":["x",3]}', "tool_ids[1]", "expected string, got integer"),
        (b'{"name":"a","enable_memory":"true"}', "enable_memory", "expected boolean, got string"),
        (b'{"name":"a","enable_memory":1}', "enable_memory", "expected boolean, got integer"),
        (b'{"name":"a\\u0000"}', "name", "must not contain control characters"),
        (b'{"name":""}', "name", "must have 1 to 64 characters, has 0"),
    ],
)
def test_a_bad_field_is_named(http: Client, body: bytes, field: str, message: str) -> None:
    response = post(http, body)
    assert code_of(response, 422) == "invalid_value"
    assert response.json()["error"]["fields"] == [{"name": field, "message": message}]
    assert response.json()["status_message"] == f"{field}: {message}"


@pytest.mark.parametrize("body", [b"[]", b"null", b'"text"', b"3", b"true", b'[{"name":"a"}]'])
def test_a_body_that_is_no_object_is_refused(http: Client, body: bytes) -> None:
    response = post(http, body)
    assert code_of(response, 422) == "invalid_value"
    assert response.json()["status_message"].startswith("The body must be a JSON object")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"name":"a"',
        b'{"name":"a"}x',
        b"name=a",
        b'{"name":"\xff"}',
        b'{"name":"\\ud800"}',
        b'{"name":NaN}',
        b'{"name":1e999}',
        b"\xef\xbb\xbf{}",
        b'{"x":' + b"[" * 40_000,
        b'{"x":' + b'{"a":' * 15_000,
        b"[" * 90_000 + b"]" * 9_000,
        "你好".encode("utf-16"),
        b"\x00" * 1000,
    ],
    ids=lambda body: repr(body[:16]),
)
def test_what_is_not_json_is_malformed(http: Client, body: bytes) -> None:
    response = post(http, body)
    assert response.status_code in {400, 422}
    assert code_of(response, response.status_code) in {"malformed_json", "invalid_value"}


@given(body=st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_no_rubbish_is_a_fault_of_ours(http: Client, body: bytes) -> None:
    assert post(http, body).status_code in {400, 422}


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=8,
)
FIELDS = ["name", "description", "logo_url", "system_prompt", "llm_id", "tool_ids", "mcp_ids", "enable_memory", "x"]


@given(body=st.dictionaries(st.sampled_from(FIELDS), JSON_VALUES, max_size=6))
def test_any_json_is_taken_or_names_its_field(http: Client, body: dict[str, Any]) -> None:
    response = post(http, json.dumps(body).encode())
    if response.status_code == 200:
        data_of(response)
        return
    if any(0xD800 <= ord(char) <= 0xDFFF for char in json.dumps(body, ensure_ascii=False)):
        return
    assert code_of(response, 422) == "invalid_value"
    named = response.json()["error"]["fields"][0]["name"]
    assert named.split("[")[0] in {*body, "name"}


def test_twenty_megabytes_are_too_large_and_the_limit_is_named(http: Client) -> None:
    response = post(http, b'{"name":"' + b"a" * 20_000_000 + b'"}')
    assert code_of(response, 413) == "body_too_large"
    assert "100,000 bytes" in response.json()["status_message"]


def test_an_unannounced_length_is_limited_too(http: Client) -> None:
    pieces = (b"a" * 10_000 for _ in range(30))
    response = http.post("/api/v1/agent", content=pieces, headers=JSON)
    assert code_of(response, 413) == "body_too_large"


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "text/xml"])
def test_another_media_type_is_refused(http: Client, kind: str) -> None:
    assert code_of(post(http, b'{"name":"a"}', kind), 415) == "unsupported_media_type"


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "APPLICATION/JSON", "application/vnd.x+json", ""])
def test_json_by_any_of_its_names_is_taken(http: Client, kind: str) -> None:
    data_of(post(http, b'{"name":"a"}', kind))


def test_null_is_as_good_as_leaving_a_field_out(http: Client) -> None:
    body = {"agent_id": "a", "name": "b", "description": None, "tool_ids": None, "version": None}
    assert data_of(http.put("/api/v1/agent", json=body))["description"] == ""


@pytest.mark.parametrize("agent_id", ["", "x" * 129, "a\x00", "a\n"])
def test_what_can_be_no_id_is_refused(http: Client, agent_id: str) -> None:
    response = http.put("/api/v1/agent", json={"agent_id": agent_id})
    assert code_of(response, 422) == "invalid_value"
    assert response.json()["error"]["fields"][0]["name"] == "agent_id"


def test_an_id_is_deleted_by_body_or_by_query(http: Client) -> None:
    removes.removed.clear()
    data_of(http.request("DELETE", "/api/v1/agent", json={"agent_id": "one"}))
    data_of(http.request("DELETE", "/api/v1/agent?agent_id=two%2F2"))
    data_of(http.request("DELETE", "/api/v1/agent?agent_id=three", json={"agent_id": "three"}))
    assert removes.removed == ["one", "two/2", "three"]
    twofold = http.request("DELETE", "/api/v1/agent?agent_id=two", json={"agent_id": "three"})
    assert code_of(twofold, 422) == "invalid_value"
    assert removes.removed == ["one", "two/2", "three"]


def test_a_delete_without_an_id_says_so(http: Client) -> None:
    for body in (None, {}, {"agent_id": None}):
        response = http.request("DELETE", "/api/v1/agent", json=body)
        assert code_of(response, 422) == "invalid_value"
        assert response.json()["error"]["fields"][0]["name"] == "agent_id"


def test_without_a_token_no_body_is_read(http: Client) -> None:
    response = http.post("/api/v1/agent", content=b"rubbish", headers={"authorization": ""})
    assert code_of(response, 401) == "token_invalid"
