"""Our own MCP server, message by message, on every database."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from http_answers import Client, Headers, Register, code_of, data_of

MCP = "/mcp"
ACCEPT = {"accept": "application/json, text/event-stream"}
VERSION_KEY = "io.modelcontextprotocol/protocolVersion"
CAPABILITIES_KEY = "io.modelcontextprotocol/clientCapabilities"
ALONE = "2026-07-28"
QUICK = "count to 2"


@pytest.fixture
def ann(register: Register) -> Headers:
    return register("ann")


def agent(client: Client, user: Headers, name: str = "sums", **fields: Any) -> str:
    made = data_of(client.post("/api/v1/agent", json={"name": name, **fields}, headers=user))
    return str(made["agent_id"])


def send(client: Client, user: Headers, message: Any, **headers: str) -> Any:
    return client.post(MCP, json=message, headers={**ACCEPT, **user, **headers})


def request(method: str, params: Any = None, number: Any = 1) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params or {}}


def answered(response: Any) -> Any:
    """The result, at whichever place of the answer it stands."""
    assert response.status_code == 200, response.text
    if response.headers["content-type"].startswith("text/event-stream"):
        lines = [line for line in response.text.split("\n") if line.startswith("data: ")]
        return json.loads(lines[-1][6:])["result"]
    return response.json()["result"]


def call(client: Client, user: Headers, tool: str, *, number: Any = 1, session: str = "", **arguments: Any) -> Any:
    """The result of a call, whether it is an error, and its text."""
    headers = {"mcp-session-id": session} if session else {}
    message = request("tools/call", {"name": tool, "arguments": arguments}, number)
    found = answered(send(client, user, message, **headers))
    return found["structuredContent"], found["isError"], found["content"][0]["text"]


def failure(response: Any, status: int) -> tuple[int, Any]:
    assert response.status_code == status, response.text
    body = response.json()
    assert body["jsonrpc"] == "2.0"
    assert "result" not in body
    return body["error"]["code"], body["id"]


def test_a_client_and_the_server_agree_on_a_version(client: Client, ann: Headers) -> None:
    for asked, settled in [("2025-06-18", "2025-06-18"), ("1999-01-01", "2025-11-25"), (None, "2025-11-25")]:
        hello = {"protocolVersion": asked, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
        response = send(client, ann, request("initialize", hello))
        found = answered(response)
        assert found["protocolVersion"] == settled
        assert found["capabilities"] == {"tools": {"listChanged": False}}
        assert found["serverInfo"]["name"] == "agentchat"
        assert len(response.headers["mcp-session-id"]) == 32
    noted = send(client, ann, {"jsonrpc": "2.0", "method": "notifications/initialized"})
    assert (noted.status_code, noted.content) == (202, b"")
    assert answered(send(client, ann, request("ping"))) == {}
    tools = answered(send(client, ann, request("tools/list")))["tools"]
    assert [tool["name"] for tool in tools] == ["list_agents", "search_knowledge", "ask_agent"]
    assert all(tool["inputSchema"]["additionalProperties"] is False for tool in tools)


def test_an_agent_answers_in_a_dialog_of_the_caller(client: Client, ann: Headers) -> None:
    made = agent(client, ann, tool_ids=["calculator"])
    for named, question, sum_ in ((made, "12 * 12", "144"), ("sums", "12 * 13", "156")):
        found, is_error, text = call(client, ann, "ask_agent", agent=named, question=question, dialog_id="mine")
        assert (is_error, found["status"], found["dialog_id"]) == (False, "complete", "mine")
        assert sum_ in text
    history = data_of(client.get("/api/v1/history", params={"dialog_id": "mine"}, headers=ann))
    assert [one["role"] for one in history] == ["user", "assistant"] * 2
    assert data_of(client.get(f"/api/v1/chat/{found['run_id']}", headers=ann))["status"] == "complete"


def test_one_request_is_asked_once_and_each_client_counts_for_itself(client: Client, ann: Headers) -> None:
    made = agent(client, ann)
    runs = {
        (session, number): call(client, ann, "ask_agent", agent=made, question=QUICK, session=session, number=number)[0]
        for session in ("a", "b")
        for number in (1, "1")
    }
    assert len({one["run_id"] for one in runs.values()}) == 4
    assert len({one["dialog_id"] for one in runs.values()}) == 4
    again = call(client, ann, "ask_agent", agent=made, question=QUICK, session="a", number=1)[0]
    assert again["run_id"] == runs["a", 1]["run_id"]
    other = call(client, ann, "ask_agent", agent=made, question="else", session="a", number=1)
    assert (other[0]["code"], other[1]) == ("idempotency_key_reused", True)


def test_what_is_another_s_is_not_there(client: Client, ann: Headers, register: Register) -> None:
    bob = register()
    hers, built_in = agent(client, ann, "secret"), {"default"}
    for named in (hers, "secret", "gone", "", "x" * 5000, "😀", "%"):
        for tool, more in (("ask_agent", {"question": "hi"}), ("search_knowledge", {"query": "hi"})):
            found, is_error, text = call(client, bob, tool, agent=named, **more)
            assert (found["code"], is_error) == ("agent_not_found", True), named
            assert text.startswith("There is no agent")
    assert {one["agent_id"] for one in call(client, bob, "list_agents")[0]["agents"]} == built_in
    assert {one["agent_id"] for one in call(client, ann, "list_agents")[0]["agents"]} == {hers} | built_in
    assert data_of(client.get("/api/v1/dialog/list", headers=bob)) == []


def test_a_name_means_the_very_name_and_one_s_own_agent_first(client: Client, ann: Headers) -> None:
    built_in = data_of(client.get("/api/v1/agent/default", headers=ann))["name"]
    assert call(client, ann, "ask_agent", agent=built_in, question=QUICK)[0]["status"] == "complete"
    agent(client, ann, "twins")
    for unlike in ("Twins", "twin", "twins!"):
        assert call(client, ann, "ask_agent", agent=unlike, question=QUICK)[0]["code"] == "agent_not_found"
    made = agent(client, ann, built_in, tool_ids=["calculator"], require_approval=["calculator"])
    assert call(client, ann, "ask_agent", agent=built_in, question="12 * 12")[0]["status"] == "waiting"
    assert call(client, ann, "ask_agent", agent=f" {made}", question=QUICK)[0]["code"] == "agent_not_found"
    assert call(client, ann, "ask_agent", agent=" twins ", question=QUICK)[0]["status"] == "complete"


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("ask_agent", {}, "agent"),
    ("ask_agent", {"agent": "default"}, "question"),
    ("ask_agent", {"agent": "default", "question": 7}, "question"),
    ("ask_agent", {"agent": "default", "question": " "}, "question"),
    ("ask_agent", {"agent": "default", "question": "a\x00b"}, "user_input"),
    ("ask_agent", {"agent": "a\x00b", "question": "hi"}, "agent"),
    ("ask_agent", {"agent": "default", "question": "hi", "dialog_id": "x" * 129}, "dialog_id"),
    ("ask_agent", {"agent": "default", "question": "hi", "more": 1}, "more"),
    ("search_knowledge", {"agent": "default", "query": ""}, "query"),
    ("search_knowledge", {"agent": "default", "query": "x", "top_k": 0}, "top_k"),
    ("search_knowledge", {"agent": "default", "query": "x", "top_k": 11}, "top_k"),
    ("list_agents", {"cursor": "rubbish"}, "cursor"),
]


def test_what_is_wrong_with_arguments_is_told_to_the_model(client: Client, ann: Headers) -> None:
    for tool, arguments, field in WRONG:
        found, is_error, text = call(client, ann, tool, **arguments)
        assert (found["code"], is_error) == ("invalid_value", True), (tool, arguments)
        assert field in text
    listed = send(client, ann, request("tools/call", {"name": "list_agents", "arguments": ["x"]}))
    assert answered(listed)["isError"] is True
    long = call(client, ann, "ask_agent", agent="default", question="x" * 200_001)
    assert (long[0]["code"], long[1]) == ("too_large", True)
    assert data_of(client.get("/api/v1/dialog/list", headers=ann)) == []


RUBBISH: list[tuple[bytes, int, int, Any]] = [
    (b"", 400, -32700, None),
    (b"{", 400, -32700, None),
    (b"\xff\xfe", 400, -32700, None),
    (b"[" * 100_000, 400, -32700, None),
    (b"7", 400, -32600, None),
    (b"null", 400, -32600, None),
    (b"[]", 400, -32600, None),
    (b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]', 400, -32600, None),
    (b"{}", 400, -32600, None),
    (b'{"jsonrpc":"1.0","id":1,"method":"ping"}', 400, -32600, None),
    (b'{"jsonrpc":"2.0","id":null,"method":"ping"}', 400, -32600, None),
    (b'{"jsonrpc":"2.0","id":1.5,"method":"ping"}', 400, -32600, None),
    (b'{"jsonrpc":"2.0","id":true,"method":"ping"}', 400, -32600, None),
    (b'{"jsonrpc":"2.0","id":99999999999999999999999999,"method":"ping"}', 400, -32600, None),
    (b'{"jsonrpc":"2.0","id":1,"method":7}', 400, -32600, 1),
    (b'{"jsonrpc":"2.0","id":1}', 400, -32600, 1),
    (b'{"jsonrpc":"2.0","id":"a","method":"ping","params":[1]}', 200, -32602, "a"),
    (b'{"jsonrpc":"2.0","id":"a","method":"resources/list"}', 200, -32601, "a"),
    (b'{"jsonrpc":"2.0","id":2,"method":"server/discover"}', 200, -32601, 2),
    (b'{"jsonrpc":"2.0","id":2,"method":"tools/list","params":{"cursor":"x"}}', 200, -32602, 2),
    (b'{"jsonrpc":"2.0","id":2,"method":"tools/call"}', 200, -32602, 2),
    (b'{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":["x"]}}', 200, -32602, 2),
    (b'{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"rm"}}', 200, -32602, 2),
]


def test_rubbish_is_refused_with_the_codes_of_json_rpc(client: Client, ann: Headers) -> None:
    headers = {**ACCEPT, **ann, "content-type": "application/json"}
    for body, status, code, number in RUBBISH:
        assert failure(client.post(MCP, content=body, headers=headers), status) == (code, number), body[:80]
    notes: list[dict[str, Any]] = [{"method": "notifications/what"}, {"id": 7, "result": {}}, {"id": 7, "error": {}}]
    for note in notes:
        assert send(client, ann, {"jsonrpc": "2.0", **note}).status_code == 202
    for request_id in (1, "gone", None, [1], {"x": 1}):
        word = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": request_id}}
        assert send(client, ann, word).status_code == 202
    assert failure(send(client, ann, request("ping"), **{"mcp-protocol-version": "2024-11-05"}), 400)[0] == -32022
    assert failure(send(client, ann, request("ping"), **{"mcp-session-id": "a b"}), 400)[0] == -32600


def test_without_a_token_nothing_is_read(client: Client, ann: Headers) -> None:
    tokens: list[dict[str, str]] = [{}, {"authorization": "Bearer wrong"}, {"authorization": "Basic eDp5"}]
    for headers in tokens:
        response = client.post(MCP, content=b"{", headers={**ACCEPT, **headers})
        assert code_of(response, 401) in {"token_missing", "token_invalid"}
        assert response.headers["www-authenticate"] == "Bearer"
    key = data_of(client.post("/api/v1/api_key", json={"name": "k"}, headers=ann))["api_key"]
    assert answered(send(client, {"authorization": f"Bearer {key}"}, request("ping"))) == {}
    for verb in ("GET", "DELETE", "PUT"):
        response = client.request(verb, MCP, headers={**ACCEPT, **ann})
        assert code_of(response, 405) == "method_not_allowed"
        assert "POST" in response.headers["allow"]


def test_only_json_is_taken_and_given(client: Client, ann: Headers) -> None:
    body = json.dumps(request("ping"))
    form = client.post(MCP, content=body, headers={**ann, "content-type": "application/x-www-form-urlencoded"})
    assert code_of(form, 415) == "unsupported_media_type"
    assert code_of(send(client, ann, request("ping"), accept="text/html"), 406) == "not_acceptable"
    plain = send(client, ann, request("ping"), accept="application/json")
    assert plain.headers["content-type"] == "application/json"
    big = client.post(MCP, content=b" " * 3_000_000, headers={**ACCEPT, **ann, "content-type": "application/json"})
    assert code_of(big, 413) == "body_too_large"


def test_pages_of_strangers_are_refused_before_anything_is_asked(client: Client, ann: Headers) -> None:
    strange = ["http://evil.example", "http://testserver.local", "null", "http://127.0.0.1.evil.example", "http://[::"]
    for origin in strange:
        response = send(client, ann, request("ping"), origin=origin, host=origin.removeprefix("http://"))
        assert code_of(response, 403) == "origin_not_allowed", origin
    for host in ("127.0.0.1:8000", "localhost:8000", "[::1]"):
        assert answered(send(client, ann, request("ping"), origin=f"http://{host}", host=host)) == {}
    assert code_of(send(client, ann, request("ping"), origin="http://127.0.0.1:1", host="127.0.0.1:2"), 403)


def alone(method: str, name: str | None = None, meta: Any = None, **params: Any) -> tuple[Any, dict[str, str]]:
    """A request of the revision whose requests stand alone, and its headers."""
    sent = {VERSION_KEY: ALONE, CAPABILITIES_KEY: {}, **(meta or {})}
    named = {"name": name} if name else {}
    headers = {"mcp-protocol-version": ALONE, "mcp-method": method, **({"mcp-name": name} if name else {})}
    return request(method, {"_meta": sent, **named, **params}), headers


def test_a_request_may_stand_alone(client: Client, ann: Headers) -> None:
    message, headers = alone("server/discover")
    found = answered(send(client, ann, message, **headers))
    assert (found["resultType"], ALONE in found["supportedVersions"]) == ("complete", True)
    message, headers = alone("tools/call", "ask_agent", arguments={"agent": "default", "question": QUICK})
    found = answered(send(client, ann, message, **headers))
    assert (found["resultType"], found["structuredContent"]["status"]) == ("complete", "complete")
    for method in ("ping", "initialize", "what"):
        message, headers = alone(method)
        assert failure(send(client, ann, message, **headers), 404)[0] == -32601
    message, headers = alone("tools/call", "ask_agent")
    mistaken: list[dict[str, str]] = [
        {"mcp-method": "tools/list"},
        {"mcp-name": "list_agents"},
        {"mcp-name": "=?base64?!?="},
    ]
    for wrong in mistaken:
        assert failure(send(client, ann, message, **(headers | wrong)), 400) == (-32020, 1)
    bare = request("tools/list")
    assert failure(send(client, ann, bare, **alone("tools/list")[1]), 400) == (-32602, 1)


def test_agents_ask_agents_so_deep_and_no_deeper(client: Client, ann: Headers) -> None:
    asked = {"name": "ask_agent", "arguments": {"agent": "default", "question": QUICK}}
    outcomes = []
    for depth in (2, 3, 10**30, -1, "3", True):
        message = request("tools/call", {**asked, "_meta": {"agentchat/depth": depth}})
        outcomes.append(answered(send(client, ann, message))["structuredContent"].get("code"))
    assert outcomes == [None, "asked_too_deep", "asked_too_deep", None, None, None]


def test_a_run_that_waits_for_a_person_says_so_and_goes_on_when_they_decide(client: Client, ann: Headers) -> None:
    made = agent(client, ann, tool_ids=["calculator"], require_approval=["calculator"])
    found, is_error, text = call(client, ann, "ask_agent", agent=made, question="12 * 12")
    (waiting,) = found["waiting"]
    assert (is_error, found["status"], waiting["tool"]) == (False, "waiting", "calculator")
    assert "calculator" in text
    assert waiting["tool_call_id"] not in text
    assert found["run_id"] not in text
    assert data_of(client.get(f"/api/v1/chat/{found['run_id']}", headers=ann))["status"] == "waiting"
    decision = {"run_id": found["run_id"], "tool_call_id": waiting["tool_call_id"], "approve": True}
    data_of(client.post("/api/v1/chat/approve", json=decision, headers=ann))
    client.get(f"/api/v1/chat/{found['run_id']}/events", headers=ann)
    history = data_of(client.get("/api/v1/history", params={"dialog_id": found["dialog_id"]}, headers=ann))
    assert "144" in history[-1]["content"]


def test_a_call_is_cancelled_at_any_process_by_its_own_client_only(
    client: Client, another_server: Client, ann: Headers, register: Register
) -> None:
    bob, notes = register(), {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 5}}
    asked: dict[str, Any] = {"agent": "default", "question": "wait 30", "dialog_id": "d"}
    with ThreadPoolExecutor(1) as beside:
        call_ = beside.submit(call, client, ann, "ask_agent", session="mine", number=5, **asked)
        while not data_of(client.get("/api/v1/dialog/list", headers=ann)):
            assert not call_.done()
        for user, session in ((bob, "mine"), (ann, "other"), (ann, "")):
            given = {"mcp-session-id": session} if session else {}
            assert send(another_server, user, notes, **given).status_code == 202
        assert not call_.done()
        assert send(another_server, ann, notes, **{"mcp-session-id": "mine"}).status_code == 202
        found, is_error, text = call_.result(timeout=10)
    assert (found["status"], is_error, text) == ("stopped", True, "The answer is not whole: it was stopped.")
