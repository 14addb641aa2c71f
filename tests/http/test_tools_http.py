"""Tools over HTTP, on every database."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from http_answers import Client, Headers, Register, Serving, code_of, data_of

TOOLS = "/api/v1/tool"
BUILT_IN = {"current_time", "calculator", "web_fetch", "search_knowledge", "search_attachment"}
FIELDS = (
    "tool_id zh_name en_name name display_name description logo_url user_id is_user_defined executable openapi_schema "
    "create_time update_time"
)
"""Of the contract; there may be more."""
EXAMPLE = {"zh_name": "天气", "en_name": "weather", "description": "查询天气", "logo_url": "/icons/sun.png"}
SCHEMA = {
    "openapi": "3.1.0",
    "info": {"title": "Weather", "version": "1"},
    "servers": [{"url": "https://weather.example.org"}],
    "paths": {
        "/now": {
            "get": {
                "operationId": "now",
                "parameters": [{"name": "city", "in": "query", "required": True, "schema": {"type": "string"}}],
                "responses": {"200": {"description": "OK"}},
            }
        }
    },
}
YAML = """
openapi: 3.0.3
info: {title: Weather, version: "1"}
servers: [{url: "https://weather.example.org"}]
paths:
  /now:
    get: {operationId: now, responses: {"200": {description: OK}}}
"""


@pytest.fixture
def ann(register: Register) -> Headers:
    return register("ann")


@pytest.fixture
def searching(serving: Serving, database_url: str, tmp_path: Path) -> Iterator[Client]:
    """Another server on the database of `client`, with an engine that searches the web."""
    engine = {"WEB_SEARCH__KIND": "searxng", "WEB_SEARCH__BASE_URL": "https://search.example.org"}
    with serving(database_url, tmp_path, **engine) as made:
        yield made


def create(client: Client, user: Headers, **fields: Any) -> Any:
    return client.post(f"{TOOLS}/create", json=fields, headers=user)


def update(client: Client, user: Headers, **fields: Any) -> Any:
    return client.put(f"{TOOLS}/update", json=fields, headers=user)


def remove(client: Client, user: Headers, tool_id: str) -> Any:
    return client.request("DELETE", f"{TOOLS}/delete", json={"tool_id": tool_id}, headers=user)


def own(client: Client, user: Headers, **window: Any) -> Any:
    return client.post(f"{TOOLS}/own", params=window, headers=user)


def test_the_reference_s_example_works_as_printed(client: Client, ann: Headers) -> None:
    made = data_of(create(client, ann, **EXAMPLE))
    assert EXAMPLE.items() <= made.items()
    assert set(FIELDS.split()) <= made.keys()
    assert made["user_id"] == data_of(client.get("/api/v1/user/info", headers=ann))["user_id"]
    assert (made["name"], made["display_name"], made["id"]) == ("weather", "天气", made["tool_id"])
    assert (made["is_user_defined"], made["executable"]) == (True, False)
    assert made["openapi_schema"] is made["auth_type"] is None
    assert data_of(client.get(f"{TOOLS}/{made['tool_id']}", headers=ann)) == made
    assert data_of(own(client, ann)) == [made]
    for listed in (client.get(f"{TOOLS}/all", headers=ann), client.post(f"{TOOLS}/visible", headers=ann)):
        assert data_of(listed)[0] == made
    changed = data_of(update(client, ann, tool_id=made["tool_id"], zh_name="新", en_name="new", description="d"))
    assert (changed["zh_name"], changed["en_name"], changed["description"]) == ("新", "new", "d")
    assert changed["logo_url"] == EXAMPLE["logo_url"]
    assert data_of(remove(client, ann, made["tool_id"])) is None
    assert data_of(own(client, ann)) == []


def test_built_in_tools_are_everyone_s_and_nobody_s_to_change(client: Client, ann: Headers) -> None:
    built_in = {one["tool_id"]: one for one in data_of(client.get(f"{TOOLS}/all", headers=ann))}
    # Without an engine there is nothing that searches the web.
    assert set(built_in) == BUILT_IN
    for tool_id, tool in built_in.items():
        assert (tool["user_id"], tool["is_user_defined"], tool["executable"]) == ("0", False, True)
        assert set(FIELDS.split()) <= tool.keys()
        assert tool["en_name"]
        assert tool["description"]
        assert data_of(client.get(f"{TOOLS}/{tool_id}", headers=ann)) == tool
        assert code_of(update(client, ann, tool_id=tool_id, zh_name="mine"), 403) == "tool_built_in"
        assert code_of(remove(client, ann, tool_id), 403) == "tool_built_in"
    agent = {"name": "a", "tool_ids": sorted(built_in)}
    assert data_of(client.post("/api/v1/agent", json=agent, headers=ann))["tool_ids"] == sorted(built_in)


@pytest.mark.parametrize("schema", [SCHEMA, json.dumps(SCHEMA), YAML])
def test_a_tool_with_a_schema_can_be_run_and_shows_it_as_it_came(client: Client, ann: Headers, schema: Any) -> None:
    made = data_of(create(client, ann, en_name="weather", openapi_schema=schema))
    assert (made["executable"], made["openapi_schema"]) == (True, schema)
    assert made["zh_name"] == "weather"
    assert data_of(own(client, ann)) == [made]
    renamed = data_of(update(client, ann, tool_id=made["tool_id"], en_name="new"))
    assert (renamed["executable"], renamed["openapi_schema"]) == (True, schema)
    for nothing in (None, "", " \n"):
        assert data_of(update(client, ann, tool_id=made["tool_id"], openapi_schema=schema))["executable"]
        bare = data_of(update(client, ann, tool_id=made["tool_id"], openapi_schema=nothing))
        assert (bare["executable"], bare["openapi_schema"]) == (False, None)


AUTHS: list[dict[str, str]] = [
    {"auth_type": "Bearer", "token": "s3cret"},
    {"auth_type": "Basic", "username": "s3cret", "password": "s3cret"},
    {"auth_type": "APIKey", "in": "header", "name": "X-Key", "value": "s3cret"},
    {"auth_type": "APIKey", "in": "query", "name": "key", "value": "s3cret"},
    {"auth_type": "Header", "name": "X-Key", "value": "s3cret"},
]


def test_of_what_a_tool_proves_itself_with_only_the_type_is_shown(client: Client, ann: Headers) -> None:
    for auth in AUTHS:
        answer = create(client, ann, en_name="a", openapi_schema=SCHEMA, auth_config=auth)
        made = data_of(answer)
        assert made["auth_type"] == auth["auth_type"]
        kept = update(client, ann, tool_id=made["tool_id"], zh_name="b", openapi_schema=YAML)
        assert data_of(kept)["auth_type"] == auth["auth_type"]
        everything = [answer, kept, own(client, ann), client.get(f"{TOOLS}/all", headers=ann)]
        assert not any("s3cret" in one.text or "auth_config" in one.text for one in everything)
        assert data_of(update(client, ann, tool_id=made["tool_id"], auth_config=None))["auth_type"] is None


DEEP: Any = {}
for _ in range(400):
    DEEP = {"a": DEEP}

RUBBISH: list[tuple[dict[str, Any], str]] = [
    ({"zh_name": ""}, "zh_name"),
    ({"en_name": "  "}, "en_name"),
    ({"en_name": "x" * 65}, "en_name"),
    ({"en_name": "a\x00"}, "en_name"),
    ({"en_name": 7}, "en_name"),
    ({"en_name": "a", "description": "x" * 2001}, "description"),
    ({"en_name": "a", "logo_url": "javascript:alert(1)"}, "logo_url"),
    ({"en_name": "a", "openapi_schema": {}}, "openapi_schema"),
    ({"en_name": "a", "openapi_schema": []}, "openapi_schema"),
    ({"en_name": "a", "openapi_schema": 3}, "openapi_schema"),
    ({"en_name": "a", "openapi_schema": "a: [b"}, "openapi_schema"),
    ({"en_name": "a", "openapi_schema": "!!python/object/apply:os.system [ls]"}, "openapi_schema"),
    ({"en_name": "a", "openapi_schema": "swagger: '2.0'"}, "openapi_schema"),
    ({"en_name": "a", "openapi_schema": SCHEMA | {"paths": []}}, "openapi_schema"),
    ({"en_name": "a", "openapi_schema": DEEP}, "openapi_schema"),
    ({"en_name": "a", "openapi_schema": "x" * 1_000_001}, "openapi_schema"),
    ({"en_name": "a", "openapi_schema": "a\x00"}, "openapi_schema"),
    ({"en_name": "a", "auth_config": {"auth_type": "Magic"}}, "auth_config.auth_type"),
    ({"en_name": "a", "auth_config": {}}, "auth_config.auth_type"),
    ({"en_name": "a", "auth_config": "Bearer s3cret"}, "auth_config"),
    ({"en_name": "a", "auth_config": {"auth_type": "Bearer"}}, "auth_config.token"),
    ({"en_name": "a", "auth_config": {"auth_type": "Bearer", "token": "s3cret\r\nX: 1"}}, "auth_config.token"),
    ({"en_name": "a", "auth_config": {"auth_type": "Bearer", "token": ["s3cret"]}}, "auth_config.token"),
    ({"en_name": "a", "auth_config": {"auth_type": "Basic", "username": "a"}}, "auth_config.password"),
    ({"en_name": "a", "auth_config": {"auth_type": "APIKey", "name": "a", "value": "s3cret"}}, "auth_config.in"),
    ({"en_name": "a", "auth_config": {"auth_type": "Header", "name": "Host", "value": "s3cret"}}, "auth_config.name"),
]


def test_what_is_no_tool_is_refused_with_its_field_and_changes_nothing(client: Client, ann: Headers) -> None:
    kept = data_of(create(client, ann, en_name="kept", openapi_schema=SCHEMA, auth_config=AUTHS[0]))
    for fields, field in RUBBISH:
        for answer in (create(client, ann, **fields), update(client, ann, tool_id=kept["tool_id"], **fields)):
            assert code_of(answer, 422), fields
            assert answer.json()["error"]["fields"][0]["name"].split(" ")[0].startswith(field), (fields, answer.text)
            assert "s3cret" not in answer.text
    (now,) = data_of(own(client, ann))
    assert {**now, "update_time": kept["update_time"]} == kept


def test_a_tool_needs_a_name(client: Client, ann: Headers) -> None:
    assert code_of(create(client, ann), 422) == "invalid_value"


def test_a_schema_of_any_depth_is_refused_in_a_sentence(client: Client, ann: Headers) -> None:
    for depth in (*range(930, 1000, 5), 100_000):
        body = b'{"en_name": "a", "openapi_schema": ' + b'{"a":' * depth + b"1" + b"}" * depth + b"}"
        answer = client.post(f"{TOOLS}/create", content=body, headers=ann | {"content-type": "application/json"})
        assert answer.status_code in {400, 422}, (depth, answer.text)


def test_another_s_tool_is_like_none(client: Client, ann: Headers, register: Register) -> None:
    bob = register()
    tool = data_of(create(client, ann, en_name="secret"))["tool_id"]
    for wanted in (tool, "gone", "x" * 128, "😀"):
        assert code_of(client.get(f"{TOOLS}/{wanted}", headers=bob), 404) == "tool_not_found"
        assert code_of(update(client, bob, tool_id=wanted, en_name="mine"), 404) == "tool_not_found"
        assert code_of(remove(client, bob, wanted), 404) == "tool_not_found"
        agent = {"name": "a", "tool_ids": [wanted]}
        assert code_of(client.post("/api/v1/agent", json=agent, headers=bob), 404) == "tool_not_found"
    assert data_of(own(client, bob)) == []
    assert [one["name"] for one in data_of(own(client, ann))] == ["secret"]


def test_a_removed_tool_is_gone_from_agents_too(client: Client, ann: Headers) -> None:
    tools = [data_of(create(client, ann, en_name=name))["tool_id"] for name in "ab"]
    agent = {"name": "a", "tool_ids": [*tools, "calculator"], "require_approval": [tools[0], "calculator"]}
    made = data_of(client.post("/api/v1/agent", json=agent, headers=ann))
    assert made["require_approval"] == [tools[0], "calculator"]
    data_of(remove(client, ann, tools[0]))
    data_of(client.request("DELETE", f"{TOOLS}/delete?tool_id={tools[1]}", headers=ann))
    left = data_of(client.get(f"/api/v1/agent/{made['agent_id']}", headers=ann))
    assert (left["tool_ids"], left["require_approval"]) == (["calculator"], ["calculator"])
    assert code_of(remove(client, ann, tools[0]), 404) == "tool_not_found"
    assert code_of(client.request("DELETE", f"{TOOLS}/delete", headers=ann), 422) == "invalid_value"


def test_what_waits_for_a_person_must_be_among_what_the_agent_calls(client: Client, ann: Headers) -> None:
    agent = {"name": "a", "tool_ids": ["calculator"], "require_approval": ["current_time"]}
    answer = client.post("/api/v1/agent", json=agent, headers=ann)
    assert code_of(answer, 422) == "invalid_value"
    assert answer.json()["error"]["fields"][0]["name"] == "require_approval"


def test_pages_together_are_the_list(client: Client, ann: Headers) -> None:
    for number in range(3):
        data_of(create(client, ann, en_name=f"tool {number}"))
    whole = data_of(client.get(f"{TOOLS}/all", headers=ann))
    assert [one["name"] for one in whole[:3]] == ["tool 2", "tool 1", "tool 0"]
    for limit in (1, 2, 3, 5):
        found, cursor = [], None
        while True:
            window = {"limit": limit} | ({"cursor": cursor} if cursor else {})
            page = client.get(f"{TOOLS}/all", params=window, headers=ann)
            found += data_of(page)
            cursor = page.json().get("next_cursor")
            if cursor is None:
                break
        assert found == whole
    first = own(client, ann, limit=2)
    assert data_of(first) + data_of(own(client, ann, cursor=first.json()["next_cursor"])) == whole[:3]


def test_lists_and_a_tool_are_one_statement(client: Client, ann: Headers, statements: Any) -> None:
    tool = data_of(create(client, ann, en_name="a"))["tool_id"]
    for verb, path in (("GET", "all"), ("POST", "own"), ("POST", "visible"), ("GET", tool)):
        statements.clear()
        data_of(client.request(verb, f"{TOOLS}/{path}", headers=ann))
        assert len(statements) == 1, (path, statements.texts)


def test_without_a_token_there_is_nothing(client: Client) -> None:
    for verb, path in [("POST", "create"), ("GET", "all"), ("POST", "own"), ("POST", "visible"), ("GET", "x")]:
        assert code_of(client.request(verb, f"{TOOLS}/{path}"), 401) == "token_missing"
    for verb, path in [("PUT", "update"), ("DELETE", "delete")]:
        assert code_of(client.request(verb, f"{TOOLS}/{path}"), 401) == "token_missing"


def test_a_list_of_long_documents_is_shown_as_each_of_them_is(client: Client, ann: Headers) -> None:
    comment = "# " + "中 \\" * 100
    long = YAML + "".join(f"{comment} {number}\n" for number in range(2_000))
    made = [
        create(client, ann, en_name=f"t{n}", openapi_schema=schema) for n, schema in enumerate([long, SCHEMA, long])
    ]
    alone = [data_of(client.get(f"{TOOLS}/{data_of(one)['tool_id']}", headers=ann)) for one in reversed(made)]
    assert alone[0]["openapi_schema"] == long
    assert own(client, ann).json() == {"status_code": 200, "status_message": "SUCCESS", "data": alone}
    assert client.get(f"{TOOLS}/all", headers=ann).json()["data"][:3] == alone
    first = own(client, ann, limit=2).json()
    assert first["data"] == alone[:2]
    assert own(client, ann, limit=2, cursor=first["next_cursor"]).json()["data"] == alone[2:]


def test_with_an_engine_agents_may_search_the_web(searching: Client, ann: Headers) -> None:
    built_in = {one["tool_id"]: one for one in data_of(searching.get(f"{TOOLS}/all", headers=ann))}
    assert set(built_in) == BUILT_IN | {"web_search"}
    assert (built_in["web_search"]["user_id"], built_in["web_search"]["executable"]) == ("0", True)
    agent = {"name": "searcher", "tool_ids": ["web_search", "web_fetch"]}
    assert data_of(searching.post("/api/v1/agent", json=agent, headers=ann))["tool_ids"] == agent["tool_ids"]


def test_without_an_engine_no_agent_is_given_what_searches_the_web(client: Client, ann: Headers) -> None:
    refused = client.post("/api/v1/agent", json={"name": "searcher", "tool_ids": ["web_search"]}, headers=ann)
    assert code_of(refused, 404) == "tool_not_found"


def test_a_list_of_very_long_documents_comes_in_pages_also_without_a_limit(client: Client, ann: Headers) -> None:
    long = YAML + "# and so on\n" * 75_000
    made = [data_of(create(client, ann, en_name=f"t{n}", openapi_schema=long))["tool_id"] for n in range(3)]
    first = own(client, ann).json()
    assert [one["tool_id"] for one in first["data"]] == [made[2], made[1]]
    rest = own(client, ann, cursor=first["next_cursor"]).json()
    assert [one["tool_id"] for one in rest["data"]] == [made[0]]
    assert "next_cursor" not in rest
