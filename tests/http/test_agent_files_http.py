"""Agents as documents over HTTP: nothing secret goes out, and nothing half comes in."""

import json
from typing import Any

import pytest

from domain.tools.mcp_servers import MASK
from http_answers import Client, Headers, Register, code_of, data_of

AGENT = "/api/v1/agent"
SCHEMA = {
    "openapi": "3.1.0",
    "info": {"title": "Weather", "version": "1", "x": [1.0, 1e16, 0.1, 12345678901234567890, "é\u0001😀"]},
    "servers": [{"url": "https://weather.example.org"}],
    "paths": {"/now": {"get": {"operationId": "now", "responses": {"200": {"description": "OK"}}}}},
}
YAML = """openapi: 3.0.3
info: {title: Weather, version: "1"}
servers: [{url: "https://weather.example.org"}]
paths:
  /now:
    get: {operationId: now, responses: {"200": {description: OK}}}
"""
HEADER_SECRET, QUERY_SECRET, PATH_SECRET = "header-s3cret", "query-s3cret", "sk9f8e7d6c5b4a39281706f5e4"
SECRETS = [HEADER_SECRET, QUERY_SECRET, PATH_SECRET, "b3arer-s3cret", "bas1c-s3cret", "k3y-s3cret", "h3ader-s3cret"]
AUTH = [
    {"auth_type": "Bearer", "token": "b3arer-s3cret"},
    {"auth_type": "Basic", "username": "bas1c-s3cret", "password": "bas1c-s3cret"},
    {"auth_type": "APIKey", "in": "query", "name": "key", "value": "k3y-s3cret"},
    {"auth_type": "Header", "name": "X-Key", "value": "h3ader-s3cret"},
]


@pytest.fixture(scope="module")
def shared_database_url(shared_sqlite_url: str) -> str:
    """What databases have to do with it is asked of both where there is no HTTP."""
    return shared_sqlite_url


@pytest.fixture
def ann(register: Register) -> Headers:
    return register("ann")


@pytest.fixture
def bob(register: Register) -> Headers:
    return register("bob")


def post(client: Client, user: Headers, path: str, **body: Any) -> Any:
    return data_of(client.post(f"/api/v1{path}", json=body, headers=user))


def export(client: Client, user: Headers, agent: Any) -> bytes:
    response = client.get(f"{AGENT}/{agent['agent_id']}/export", headers=user)
    assert response.status_code == 200, response.text
    content: bytes = response.content
    return content


def take(client: Client, user: Headers, document: bytes | str, name: str | None = None) -> Any:
    headers = user | {"content-type": "application/json"}
    query = {} if name is None else {"name": name}
    return client.post(f"{AGENT}/import", content=document, params=query, headers=headers)


def document(**changes: Any) -> dict[str, Any]:
    return {"format": "agentchat.agent", "format_version": 1, "agent": {"name": "A"}} | changes


def full(client: Client, user: Headers) -> Any:
    """An agent with everything that one can have, and secrets wherever there is a place for them."""
    tools = [
        post(client, user, "/tool/create", en_name=f"t{number}", openapi_schema=schema, auth_config=auth)["tool_id"]
        for number, (schema, auth) in enumerate(zip([SCHEMA, YAML, SCHEMA, YAML], AUTH, strict=True))
    ]
    bare = post(client, user, "/tool/create", zh_name="名字", description="no schema", logo_url="/icons/sun.png")
    address = f"https://mcp.example.org/s/{PATH_SECRET}/mcp?key={QUERY_SECRET}#{QUERY_SECRET}"
    headers = {"Authorization": f"Bearer {HEADER_SECRET}", "X-Other": HEADER_SECRET}
    server = post(client, user, "/mcp_server", server_name="files", type="sse", url=address, headers=headers)
    base = post(client, user, "/knowledge/create", knowledge_name="手册", knowledge_desc="About it.")["knowledge_id"]
    return post(
        client,
        user,
        "/agent",
        name="Ada 名字 😀",
        description="d\nd",
        logo_url=f"https://me:{QUERY_SECRET}@cdn.example.org/a.png?token={QUERY_SECRET}",
        system_prompt="Be kind.\n\t{x} %s \\ é",
        llm_id="gpt-4",
        tool_ids=[tools[0], "calculator", *tools[1:], bare["tool_id"]],
        mcp_ids=[server["server_id"]],
        knowledge_ids=[base],
        enable_memory=True,
        require_approval=[tools[1], "calculator", server["server_id"]],
    )


def ids_of(client: Client, user: Headers) -> list[str]:
    listed = [
        *data_of(client.post("/api/v1/tool/own", headers=user)),
        *data_of(client.get("/api/v1/mcp_server", headers=user)),
        *data_of(client.get("/api/v1/knowledge/select", headers=user)),
        *[one for one in data_of(client.get(AGENT, headers=user)) if one["is_custom"]],
    ]
    found = [one[name] for one in listed for name in one if name == "user_id" or name.endswith("_id")]
    return [one for one in found if isinstance(one, str) and one not in {"gpt-4", ""}]


def test_a_document_holds_all_but_secrets_and_ids(client: Client, ann: Headers) -> None:
    agent = full(client, ann)
    response = client.get(f"{AGENT}/{agent['agent_id']}/export", headers=ann)
    text = response.content.decode()
    for secret in [*SECRETS, *ids_of(client, ann), "Bearer header", "calculator_id"]:
        assert secret not in text
    assert response.headers["content-type"] == "application/json"
    disposition = response.headers["content-disposition"]
    assert disposition.startswith("attachment; ")
    assert disposition.isascii()
    assert "filename*=UTF-8''Ada%20%E5%90%8D%E5%AD%97%20%F0%9F%98%80.agent.json" in disposition
    auth = [{"auth_type": one["auth_type"]} for one in AUTH]
    tools = [
        {"name": f"t{number}", "display_name": f"t{number}", "openapi_schema": schema} | auth[number]
        for number, schema in enumerate([SCHEMA, YAML, SCHEMA, YAML])
    ]
    bare = {"name": "名字", "display_name": "名字", "description": "no schema", "logo_url": "/icons/sun.png"}
    approved = {"require_approval": True}
    assert json.loads(text) == {
        "format": "agentchat.agent",
        "format_version": 1,
        "agent": {
            "name": "Ada 名字 😀",
            "description": "d\nd",
            "logo_url": "https://cdn.example.org/a.png",
            "system_prompt": "Be kind.\n\t{x} %s \\ é",
            "model": "gpt-4",
            "enable_memory": True,
        },
        "tools": [
            tools[0], {"name": "calculator", "built_in": True} | approved, tools[1] | approved, *tools[2:], bare,
        ],
        "mcp_servers": [
            {
                "name": "files",
                "type": "sse",
                "url": "https://mcp.example.org/s/***/mcp",
                "headers": ["Authorization", "X-Other"],
                **approved,
            }
        ],
        "knowledge": [{"name": "手册", "description": "About it."}],
    }  # fmt: skip
    assert export(client, ann, agent) == response.content


def test_the_same_person_reuses_all_that_is_there(client: Client, ann: Headers) -> None:
    agent = full(client, ann)
    there, before = export(client, ann, agent), sorted(ids_of(client, ann))
    assert code_of(take(client, ann, there), 409) == "agent_name_taken"
    assert sorted(ids_of(client, ann)) == before
    for name in ("copy", "another copy"):
        done = data_of(take(client, ann, there, name))
        assert done["created"] == done["missing"] == done["needs"] == []
        assert len(done["reused"]) == 7
        copy = done["agent"]
        changed = {"agent_id", "id", "name", "logo_url", "create_time", "update_time", "version"}
        assert {name for name in copy if copy[name] != agent[name]} <= changed | {"require_approval"}
        assert set(copy["require_approval"]) == set(agent["require_approval"])
        assert (copy["name"], copy["version"]) == (name, 1)
        assert json.loads(export(client, ann, copy)) == json.loads(there) | {
            "agent": json.loads(there)["agent"] | {"name": name}
        }


def test_somebody_else_gets_the_same_agent_and_is_told_what_it_lacks(
    client: Client, ann: Headers, bob: Headers
) -> None:
    there = export(client, ann, full(client, ann))
    done = data_of(take(client, bob, there))
    assert [(one["kind"], one["name"]) for one in done["created"]] == [
        ("tool", "t0"), ("tool", "t1"), ("tool", "t2"), ("tool", "t3"), ("tool", "名字"), ("mcp_server", "files"),
    ]  # fmt: skip
    assert done["reused"] == []
    assert [(one["kind"], one["name"]) for one in done["missing"]] == [("knowledge", "手册")]
    assert [(one["name"], one["needs"]) for one in done["needs"]] == [
        ("t0", "auth_config of the type Bearer"),
        ("t1", "auth_config of the type Basic"),
        ("t2", "auth_config of the type APIKey"),
        ("t3", "auth_config of the type Header"),
        ("files", "the values of its headers: Authorization, X-Other"),
        ("files", "its url, of which the document leaves a part out"),
    ]
    theirs = set(ids_of(client, ann))
    assert not theirs & set(ids_of(client, bob))
    again = export(client, bob, done["agent"])
    assert json.loads(again) == json.loads(there) | {"knowledge": []}
    post(client, bob, "/knowledge/create", knowledge_name="手册", knowledge_desc="About it.")
    complete = data_of(take(client, bob, there, "complete"))
    assert complete["missing"] == complete["created"] == []
    assert len(complete["needs"]) == 6
    data_of(client.request("DELETE", AGENT, json={"agent_id": done["agent"]["agent_id"]}, headers=bob))
    named = client.put(AGENT, json={"agent_id": complete["agent"]["agent_id"], "name": "Ada 名字 😀"}, headers=bob)
    assert export(client, bob, data_of(named)) == there


def test_what_is_needed_can_be_set(client: Client, ann: Headers, bob: Headers) -> None:
    done = data_of(take(client, bob, export(client, ann, full(client, ann))))
    tool, *_, server = [one["id"] for one in done["created"]]
    shown = data_of(client.get(f"/api/v1/mcp_server/{server}", headers=bob))
    assert shown["headers"] == {"Authorization": "", "X-Other": ""}
    tools = client.get("/api/v1/mcp_tools", params={"server_id": server}, headers=bob)
    assert code_of(tools, 409) == "secret_needed"
    body: dict[str, Any] = {"server_id": server, "url": "https://mcp.example.org/mcp"}
    assert code_of(client.put("/api/v1/mcp_server", json=body, headers=bob), 422) == "invalid_value"
    body["headers"] = {"Authorization": "Bearer mine", "X-Other": MASK}
    assert code_of(client.put("/api/v1/mcp_server", json=body, headers=bob), 422) == "invalid_value"
    body["headers"] = {"Authorization": "Bearer mine"}
    assert data_of(client.put("/api/v1/mcp_server", json=body, headers=bob))["headers"] == {"Authorization": MASK}
    auth = {"auth_type": "Bearer", "token": "mine"}
    changed = client.put("/api/v1/tool/update", json={"tool_id": tool, "auth_config": auth}, headers=bob)
    assert data_of(changed)["auth_type"] == "Bearer"


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"format": "other"}, "format"),
    ({"format_version": 2}, "format_version"),
    ({"format_version": "1"}, "format_version"),
    ({"agent_id": "x"}, ""),
    ({"agent": {"name": "A", "user_id": "x"}}, "agent"),
    ({"agent": {}}, "agent.name"),
    ({"agent": {"name": ""}}, "agent.name"),
    ({"agent": {"name": "x" * 65}}, "agent.name"),
    ({"agent": {"name": "a\x00"}}, "agent.name"),
    ({"agent": {"name": "A", "model": "m" * 129}}, "agent.model"),
    ({"agent": {"name": "A", "system_prompt": "p" * 100_001}}, "agent.system_prompt"),
    ({"agent": {"name": "A", "logo_url": "javascript:alert(1)"}}, "agent.logo_url"),
    ({"tools": {}}, "tools"),
    ({"tools": [{"name": "t"}] * 1_000}, "tools"),
    ({"tools": [{"name": "t"}, {"name": "t\n"}, {"name": "a\x00"}]}, "tools[2].name"),
    ({"tools": [{"name": "t", "display_name": "x" * 65}]}, "tools[0].display_name"),
    ({"tools": [{"name": "x" * 1_000_000, "built_in": True}]}, "tools[0].name"),
    ({"tools": [{"name": "t", "openapi_schema": 7}]}, "tools[0].openapi_schema"),
    ({"tools": [{"name": "t", "openapi_schema": {"openapi": "3.1.0"}}]}, "tools[0].openapi_schema"),
    ({"tools": [{"name": "t", "openapi_schema": "x" * 1_000_001}]}, "tools[0].openapi_schema"),
    ({"tools": [{"name": "t", "auth_type": "Magic"}]}, "tools[0].auth_type"),
    ({"tools": [{"name": "t", "auth_config": {"token": "x"}}]}, "tools[0]"),
    ({"mcp_servers": [{"name": "s", "type": "sse", "url": "ftp://x"}]}, "mcp_servers[0].url"),
    ({"mcp_servers": [{"name": "s", "type": "sse", "url": "https://a:b@x.org"}]}, "mcp_servers[0].url"),
    (
        {"mcp_servers": [{"name": "s", "type": "sse", "url": "https://x.org", "headers": ["Host"]}]},
        "mcp_servers[0].headers",
    ),
    ({"mcp_servers": [{"name": "s", "type": "sse", "url": "https://x.org"}] * 129}, "mcp_servers"),
    ({"knowledge": [{"name": "\x7f"}]}, "knowledge[0].name"),
]


def test_what_breaks_a_rule_makes_nothing_and_names_the_place(client: Client, ann: Headers) -> None:
    before = ids_of(client, ann)
    good = [{"name": "first", "openapi_schema": SCHEMA}]
    for changes, field in REFUSED:
        said = document(**({"tools": good} | changes))
        response = take(client, ann, json.dumps(said))
        assert code_of(response, 422) == "invalid_value", changes
        named = [one["name"] for one in response.json()["error"]["fields"]]
        assert named == ([field] if field else []), changes
    assert ids_of(client, ann) == before


def test_hostile_bodies_are_refused(client: Client, ann: Headers) -> None:
    deep = '{"a":' * 200_000 + "1" + "}" * 200_000
    for schema in (deep, "[" * 100_000 + "]" * 100_000):
        body = json.dumps(document())[:-1] + f', "tools": [{{"name": "t", "openapi_schema": {schema}}}]}}'
        assert code_of(take(client, ann, body), 400) == "malformed_json"
    nested = '{"a":' * 900 + "1" + "}" * 900
    for schema in (nested, '{"a": 1e999}', '"\\ud800"', '{"\\ud800": 1}', '"a\\u0000b"'):
        body = json.dumps(document())[:-1] + f', "tools": [{{"name": "t", "openapi_schema": {schema}}}]}}'
        assert take(client, ann, body).status_code in {400, 422}, schema[:40]
    for body in ("", "null", "[]", '"x"', "{", "\ud83d".encode("utf-8", "surrogatepass"), b"\xff"):
        assert take(client, ann, body).status_code in {400, 422}
    huge = take(client, ann, json.dumps(document(agent={"name": "A", "description": "x" * (32 * 1024 * 1024)})))
    assert code_of(huge, 413) == "body_too_large"
    assert "33,554,432" in huge.json()["status_message"]
    assert ids_of(client, ann) == []


def test_the_limits_of_an_account_hold_for_documents(client: Client, ann: Headers) -> None:
    servers = [{"name": f"s{number}", "type": "sse", "url": "https://x.org"} for number in range(51)]
    tools = [{"name": f"t{number}"} for number in range(128)]
    refused = take(client, ann, json.dumps(document(mcp_servers=servers, tools=tools)))
    assert code_of(refused, 409) == "too_many_mcp_servers"
    assert ids_of(client, ann) == []
    done = data_of(take(client, ann, json.dumps(document(mcp_servers=servers[:50], tools=tools))))
    assert len(done["created"]) == 178
    for number in range(2):
        more = [{"name": f"u{number}.{one}"} for one in range(128)]
        data_of(take(client, ann, json.dumps(document(tools=more)), f"more {number}"))
    more = [{"name": f"v.{one}"} for one in range(128)]
    assert code_of(take(client, ann, json.dumps(document(tools=more)), "too much"), 409) == "too_many_tools"
    assert len(data_of(client.get(AGENT, headers=ann))) == 4


def test_what_can_t_be_had_is_missing_and_told(client: Client, ann: Headers) -> None:
    said = document(
        agent={"name": "A", "model": "gpt-none"},
        tools=[{"name": "no_such_tool", "built_in": True}, {"name": "calculator", "built_in": True}],
        mcp_servers=[{"name": "local", "type": "stdio"}, {"name": "s", "type": "sse"}],
        knowledge=[{"name": "k"}, {"name": "K"}],
    )
    done = data_of(take(client, ann, json.dumps(said)))
    assert [(one["kind"], one["name"]) for one in done["missing"]] == [
        ("knowledge", "k"),
        ("tool", "no_such_tool"),
        ("mcp_server", "local"),
        ("mcp_server", "s"),
        ("model", "gpt-none"),
    ]
    assert all(one["why"] for one in done["missing"])
    assert (done["agent"]["tool_ids"], done["agent"]["llm_id"]) == (["calculator"], "")
    assert done["created"] == done["reused"] == done["needs"] == []


def test_a_document_says_that_its_model_is_one_s_own(client: Client, ann: Headers) -> None:
    key = "sk-0123456789abcdefWXYZ"
    model = {"model": "gpt-4", "provider": "openai", "api_key": key}
    mine = post(client, ann, "/llm/create", **model)["llm_id"]
    for name, llm_id in (("own", mine), ("system", "gpt-4")):
        agent = post(client, ann, "/agent", name=name, llm_id=llm_id)
        written = export(client, ann, agent)
        told = json.loads(written)["agent"]
        assert (told["model"], told.get("own_model")) == ("gpt-4", True if llm_id == mine else None)
        assert mine.encode() not in written
        assert key.encode() not in written
        assert data_of(take(client, ann, written, f"{name} again"))["agent"]["llm_id"] == llm_id


def test_a_logo_among_one_s_own_files_is_nobody_else_s(client: Client, ann: Headers) -> None:
    url = data_of(client.post("/api/v1/upload", files={"file": ("a.png", PNG)}, headers=ann))
    agent = post(client, ann, "/agent", name="A", logo_url=url)
    assert json.loads(export(client, ann, agent))["agent"]["logo_url"] == ""


PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360000000000500"
    "01a5f645400000000049454e44ae426082"
)


def test_somebody_else_s_agent_is_in_no_document(client: Client, ann: Headers, bob: Headers) -> None:
    agent = post(client, ann, "/agent", name="A")
    for agent_id in (agent["agent_id"], "x" * 26, "%00"):
        assert code_of(client.get(f"{AGENT}/{agent_id}/export", headers=bob), 404) == "agent_not_found"
    default = json.loads(export(client, bob, {"agent_id": "default"}))
    assert default["agent"]["name"] == "Assistant"
    assert data_of(take(client, bob, json.dumps(default)))["agent"]["is_custom"]


def test_a_deleted_account_takes_nothing(client: Client, ann: Headers) -> None:
    data_of(client.request("DELETE", "/api/v1/user/delete", json={"user_password": "test"}, headers=ann))
    assert code_of(take(client, ann, json.dumps(document())), 401) == "account_gone"
    assert code_of(client.get(f"{AGENT}/default/export", headers=ann), 401) == "account_gone"


def test_an_export_costs_a_statement_for_each_kind(client: Client, ann: Headers, statements: Any) -> None:
    agent = full(client, ann)
    export(client, ann, agent)
    statements.clear()
    export(client, ann, agent)
    assert len(statements) == 4, statements.texts
    bare = post(client, ann, "/agent", name="bare")
    statements.clear()
    export(client, ann, bare)
    assert len(statements) == 1, statements.texts
