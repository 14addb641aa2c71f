"""Versions of agents over HTTP: listed, shown, gone back to, and named by the answers that they gave."""

from typing import Any

import pytest

from http_answers import Client, Headers, Register, code_of, data_of

AGENT = "/api/v1/agent"


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


def make(client: Client, user: Headers, name: str = "one", **fields: Any) -> Any:
    return data_of(client.post(AGENT, json={"name": name} | fields, headers=user))


def change(client: Client, user: Headers, agent: Any, **fields: Any) -> Any:
    return data_of(client.put(AGENT, json={"agent_id": agent["agent_id"]} | fields, headers=user))


def versions(client: Client, user: Headers, agent: Any, **window: Any) -> Any:
    return client.get(f"{AGENT}/{agent['agent_id']}/versions", params=window, headers=user)


def version(client: Client, user: Headers, agent: Any, number: object) -> Any:
    return client.get(f"{AGENT}/{agent['agent_id']}/versions/{number}", headers=user)


def roll_back(client: Client, user: Headers, agent: Any, number: object, **fields: Any) -> Any:
    return client.post(f"{AGENT}/{agent['agent_id']}/rollback", json={"version": number} | fields, headers=user)


def test_each_save_is_a_version_newest_first(client: Client, ann: Headers) -> None:
    first = make(client, ann, system_prompt="be kind")
    second = change(client, ann, first, name="two", description="d")
    third = change(client, ann, first, enable_memory=True)
    assert data_of(versions(client, ann, first)) == [
        {"version": 3, "create_time": third["update_time"], "changed": ["enable_memory"]},
        {"version": 2, "create_time": second["update_time"], "changed": ["name", "description"]},
        {"version": 1, "create_time": first["update_time"], "changed": []},
    ]
    assert [data_of(version(client, ann, first, number)) for number in (1, 2, 3)] == [first, second, third]


def test_pages_together_are_the_list(client: Client, ann: Headers) -> None:
    agent = make(client, ann)
    for number in range(4):
        change(client, ann, agent, description=str(number))
    whole, seen, query = data_of(versions(client, ann, agent)), list[Any](), dict[str, Any](limit=2)
    while True:
        response = versions(client, ann, agent, **query)
        seen += data_of(response)
        if "next_cursor" not in response.json():
            break
        query["cursor"] = response.json()["next_cursor"]
    assert seen == whole
    assert len(whole) == 5
    other_list = client.get(AGENT, params={"limit": 1}, headers=ann).json()["next_cursor"]
    for cursor in (other_list, "x", "MTox" + "MTEx" * 9):
        assert code_of(versions(client, ann, agent, cursor=cursor), 422) == "invalid_value"


def test_going_back_makes_a_new_version_with_the_old_content(client: Client, ann: Headers) -> None:
    first = make(client, ann, system_prompt="be kind", tool_ids=["calculator"])
    change(client, ann, first, name="two", system_prompt="be rude", tool_ids=[], llm_id="gpt-4")
    done = data_of(roll_back(client, ann, first, 1))
    back = done["agent"]
    assert done["missing"] == []
    assert back == first | {"version": 3, "update_time": back["update_time"]}
    assert data_of(client.get(f"{AGENT}/{first['agent_id']}", headers=ann)) == back
    assert [one["version"] for one in data_of(versions(client, ann, first))] == [3, 2, 1]
    assert data_of(roll_back(client, ann, first, 2))["agent"]["system_prompt"] == "be rude"


def test_what_is_gone_since_is_left_out_and_told(client: Client, ann: Headers) -> None:
    tool = data_of(client.post("/api/v1/tool/create", json={"en_name": "gone"}, headers=ann))["tool_id"]
    kept = data_of(client.post("/api/v1/tool/create", json={"en_name": "kept"}, headers=ann))["tool_id"]
    base = data_of(client.post("/api/v1/knowledge/create", json={"knowledge_name": "k"}, headers=ann))["knowledge_id"]
    server = data_of(
        client.post("/api/v1/mcp_server", json={"server_name": "m", "type": "sse", "url": "https://x.org"}, headers=ann)
    )["server_id"]
    links = {"tool_ids": [tool, kept], "knowledge_ids": [base], "mcp_ids": [server], "require_approval": [tool, kept]}
    agent = make(client, ann, **links)
    for path, field, identifier in (
        ("/tool/delete", "tool_id", tool),
        ("/knowledge/delete", "knowledge_id", base),
        ("/mcp_server", "server_id", server),
    ):
        data_of(client.request("DELETE", f"/api/v1{path}", json={field: identifier}, headers=ann))
    assert [one["changed"] for one in data_of(versions(client, ann, agent))] == [
        ["mcp_ids"], ["knowledge_ids"], ["tool_ids", "require_approval"], [],
    ]  # fmt: skip
    done = data_of(roll_back(client, ann, agent, 1))
    assert (done["agent"]["tool_ids"], done["agent"]["require_approval"]) == ([kept], [kept])
    assert done["agent"]["knowledge_ids"] == done["agent"]["mcp_ids"] == []
    assert [(one["kind"], one["name"]) for one in done["missing"]] == [
        ("tool", tool), ("mcp_server", server), ("knowledge", base),
    ]  # fmt: skip
    assert data_of(version(client, ann, agent, 1)) == agent


def test_a_name_that_is_taken_since_is_a_conflict_unless_another_is_said(client: Client, ann: Headers) -> None:
    agent = make(client, ann, "old")
    change(client, ann, agent, name="new")
    make(client, ann, "OLD")
    assert code_of(roll_back(client, ann, agent, 1), 409) == "agent_name_taken"
    assert len(data_of(versions(client, ann, agent))) == 2
    assert data_of(roll_back(client, ann, agent, 1, name=" older "))["agent"]["name"] == "older"
    for name in ("", "x" * 65, "a\x00"):
        assert code_of(roll_back(client, ann, agent, 1, name=name), 422) == "invalid_value"


def test_no_number_is_a_fault_of_ours(client: Client, ann: Headers) -> None:
    agent = make(client, ann)
    for number in ("0", "2", "-1", "1.0", "x", "%31%20", "²", "9" * 40, str(2**31 - 1), str(2**31), "%00"):
        assert code_of(version(client, ann, agent, number), 404) == "agent_version_not_found"
    for wrong in (0, -1, "1", 1.5, True, None, 2**31, 10**40):
        assert code_of(roll_back(client, ann, agent, wrong), 422) == "invalid_value"
    for missing in (2, 2**31 - 1):
        assert code_of(roll_back(client, ann, agent, missing), 404) == "agent_version_not_found"
    assert len(data_of(versions(client, ann, agent))) == 1


def test_the_default_agent_has_versions_that_everyone_sees_and_nobody_goes_back_to(
    client: Client, ann: Headers
) -> None:
    default = data_of(client.get(f"{AGENT}/default", headers=ann))
    assert [one["version"] for one in data_of(versions(client, ann, default))] == [default["version"]]
    assert data_of(version(client, ann, default, default["version"])) == default
    assert code_of(roll_back(client, ann, default, default["version"]), 403) == "agent_built_in"


def test_somebody_else_s_versions_are_as_good_as_missing(client: Client, ann: Headers, bob: Headers) -> None:
    agent, missing = make(client, ann), {"agent_id": "x" * 26}
    for one in (agent, missing):
        for response in (
            versions(client, bob, one),
            version(client, bob, one, 1),
            version(client, bob, one, 99),
            roll_back(client, bob, one, 1),
        ):
            assert code_of(response, 404) == "agent_not_found"
    assert len(data_of(versions(client, ann, agent))) == 1
    data_of(client.request("DELETE", AGENT, json={"agent_id": agent["agent_id"]}, headers=ann))
    assert code_of(versions(client, ann, agent), 404) == "agent_not_found"
    assert code_of(version(client, ann, agent, 1), 404) == "agent_not_found"


def ask(client: Client, user: Headers, **body: Any) -> Any:
    response = client.post("/api/v1/chat", json={"user_input": "Hi", "dialog_id": "d", **body}, headers=user)
    assert response.status_code == 200, response.text
    question, answer = data_of(client.get("/api/v1/history?dialog_id=d", headers=user))[-2:]
    assert question["agent_id"] is question["agent_version"] is None
    assert data_of(client.get(f"/api/v1/message/{answer['message_id']}", headers=user)) == answer
    return answer["agent_id"], answer["agent_version"]


def test_an_answer_says_which_version_gave_it(client: Client, ann: Headers) -> None:
    one, other = make(client, ann, "one"), make(client, ann, "other")
    assert ask(client, ann) == ("default", 1)
    assert ask(client, ann, agent_id=one["agent_id"]) == (one["agent_id"], 1)
    change(client, ann, one, description="d")
    assert ask(client, ann, agent_id=one["agent_id"]) == (one["agent_id"], 2)
    assert ask(client, ann, agent_id=other["agent_id"]) == (other["agent_id"], 1)
    data_of(client.request("DELETE", AGENT, json={"agent_id": one["agent_id"]}, headers=ann))
    history = data_of(client.get("/api/v1/history?dialog_id=d", headers=ann))
    assert [(it["agent_id"], it["agent_version"]) for it in history[1::2]] == [
        ("default", 1), (one["agent_id"], 1), (one["agent_id"], 2), (other["agent_id"], 1),
    ]  # fmt: skip


def test_listing_and_showing_cost_a_statement_each(client: Client, ann: Headers, statements: Any) -> None:
    agent = make(client, ann)
    for number in range(5):
        change(client, ann, agent, description=str(number))
    for look in (versions(client, ann, agent), version(client, ann, agent, 3)):
        data_of(look)
    statements.clear()
    data_of(versions(client, ann, agent))
    data_of(version(client, ann, agent, 3))
    assert len(statements) == 2, statements.texts
