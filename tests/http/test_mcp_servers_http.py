"""MCP servers over HTTP, on every database; the servers themselves play a script."""

import asyncio
import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dishka import Provider, Scope, provide
from sqlalchemy import select

from adapters.database.engine import open_database, sqlite_file
from adapters.database.tables import metadata
from adapters.scripted import ScriptedMcpConnections
from application.ports.mcp_connections import McpConnections, McpTool
from domain.tools.mcp_servers import MASK
from http_answers import Client, Headers, Register, Serving, code_of, data_of

SERVERS = "/api/v1/mcp_server"
URL = "https://mcp.example.org/mcp"
EXAMPLE = {"server_name": "files", "type": "streamable_http", "url": URL}
STDIO = {"server_name": "local", "type": "stdio", "command": "run", "args": ["-v"], "env": {"KEY": "s3cret"}}


class Played(Provider):
    """Stands in for the connections."""

    def __init__(self, connections: ScriptedMcpConnections) -> None:
        super().__init__(scope=Scope.APP)
        self._connections = connections

    @provide
    def connections(self) -> McpConnections:
        return self._connections


@pytest.fixture(scope="module")
def played() -> ScriptedMcpConnections:
    return ScriptedMcpConnections()


@pytest.fixture(scope="module")
def shared(
    serving: Serving, shared_database_url: str, shared_folder: Path, played: ScriptedMcpConnections
) -> Iterator[Client]:
    with serving(shared_database_url, shared_folder, Played(played)) as made:
        yield made


@pytest.fixture
def connections(played: ScriptedMcpConnections) -> ScriptedMcpConnections:
    """Those of the module's server, without memory of other tests."""
    for noted in (played.offers, played.asked, played.fresh, played.forgotten, played.left):
        noted.clear()
    return played


@pytest.fixture
def client(shared: Client, connections: ScriptedMcpConnections) -> Client:
    return shared


@pytest.fixture
def ann(register: Register) -> Headers:
    return register("ann")


def create(client: Client, user: Headers, **fields: Any) -> Any:
    return client.post(SERVERS, json=EXAMPLE | fields, headers=user)


def update(client: Client, user: Headers, **fields: Any) -> Any:
    return client.put(SERVERS, json=fields, headers=user)


def remove(client: Client, user: Headers, server_id: str) -> Any:
    return client.request("DELETE", SERVERS, json={"server_id": server_id}, headers=user)


def listed(client: Client, user: Headers, **window: Any) -> Any:
    return client.get(SERVERS, params=window, headers=user)


def ask(client: Client, user: Headers, server_id: str) -> Any:
    return client.get("/api/v1/mcp_tools", params={"server_id": server_id}, headers=user)


def test_a_server_is_made_shown_changed_and_removed(client: Client, ann: Headers) -> None:
    made = data_of(create(client, ann, description="d"))
    assert (EXAMPLE | {"description": "d"}).items() <= made.items()
    assert made["server_id"] == made["mcp_server_id"]
    assert made["user_id"] == data_of(client.get("/api/v1/user/info", headers=ann))["user_id"]
    assert made["create_time"] == made["update_time"]
    assert (made["tools"], made["status"]) == ([], "unknown")
    assert data_of(client.get(f"{SERVERS}/{made['server_id']}", headers=ann)) == made
    assert data_of(listed(client, ann)) == [made]
    changed = data_of(update(client, ann, server_id=made["server_id"], server_name="new", url=None))
    assert {**changed, "update_time": made["update_time"]} == {**made, "server_name": "new"}
    assert data_of(remove(client, ann, made["server_id"])) is None
    assert data_of(listed(client, ann)) == []
    assert code_of(remove(client, ann, made["server_id"]), 404) == "mcp_server_not_found"
    answer = client.request("DELETE", SERVERS, headers=ann)
    assert (code_of(answer, 422), answer.json()["error"]["fields"][0]["name"]) == ("invalid_value", "server_id")


def test_secrets_are_masked_and_a_mask_sent_back_changes_nothing(
    client: Client, ann: Headers, connections: ScriptedMcpConnections
) -> None:
    connections.offers[URL] = []
    answer = create(client, ann, headers={"Authorization": "Bearer s3cret", "X-Key": "s3cret2"})
    made = data_of(answer)
    assert made["headers"] == {"Authorization": MASK, "X-Key": MASK}
    again = update(client, ann, **{name: made[name] for name in ("server_id", "server_name", "type", "url", "headers")})
    changed = update(client, ann, server_id=made["server_id"], headers={"X-Key": "s3cret3", "Authorization": MASK})
    assert data_of(ask(client, ann, made["server_id"])) == []
    assert dict(connections.asked[-1].address.headers) == {"X-Key": "s3cret3", "Authorization": "Bearer s3cret"}
    everything = [answer, again, changed, listed(client, ann)]
    assert not any("s3cret" in one.text for one in everything)
    refused = update(client, ann, server_id=made["server_id"], headers={"X-Other": MASK})
    assert code_of(refused, 422) == "invalid_value"


def test_a_server_is_asked_for_its_tools(client: Client, ann: Headers, connections: ScriptedMcpConnections) -> None:
    server_id = data_of(create(client, ann))["server_id"]
    schema: Any = {"type": "object", "properties": {"path": {"type": "string"}}}
    connections.offers[URL] = [McpTool("read", "Read", "Reads a file.", schema)]
    tool = {"name": "read", "title": "Read", "description": "Reads a file.", "parameters": schema}
    assert data_of(ask(client, ann, server_id)) == [tool]
    # What is remembered from some minutes ago would not be asked for now.
    assert connections.fresh[-1]
    (seen,) = data_of(listed(client, ann))
    assert (seen["tools"], seen["status"]) == (["read"], "ok")
    connections.offers[URL] = "it refuses the connection."
    away = ask(client, ann, server_id)
    assert code_of(away, 502) == "mcp_server_unavailable"
    assert away.json()["status_message"] == "The MCP server 'files' can't be used now: it refuses the connection."
    (seen,) = data_of(listed(client, ann))
    assert (seen["tools"], seen["status"]) == (["read"], "it refuses the connection.")
    data_of(update(client, ann, server_id=server_id, url=URL + "2"))
    (seen,) = data_of(listed(client, ann))
    assert (seen["tools"], seen["status"]) == ([], "unknown")
    assert connections.forgotten == [server_id]
    data_of(remove(client, ann, server_id))
    assert connections.forgotten == [server_id, server_id]


RUBBISH: list[tuple[dict[str, Any], str]] = [
    ({"server_name": ""}, "server_name"),
    ({"server_name": "x" * 65}, "server_name"),
    ({"server_name": 7}, "server_name"),
    ({"type": "carrier_pigeon"}, "type"),
    ({"url": ""}, "url"),
    ({"url": "ftp://mcp.example.org"}, "url"),
    ({"url": "https://ann:s3cret@mcp.example.org"}, "url"),
    ({"url": "https://mcp.example.org/\r\nX: 1"}, "url"),
    ({"url": "https://mcp.example.org/" + "x" * 2048}, "url"),
    ({"url": ["x"]}, "url"),
    ({"headers": {"Host": "s3cret"}}, "headers"),
    ({"headers": {"X-Key": "s3cret\r\nX: 1"}}, "headers"),
    ({"headers": {"X-Key": ["s3cret"]}}, "headers"),
    ({"headers": {"": "s3cret"}}, "headers"),
    ({"headers": {f"X-{one}": "1" for one in range(21)}}, "headers"),
    ({"headers": "X-Key: s3cret"}, "headers"),
    ({"description": "x" * 2001}, "description"),
]


def test_what_can_be_no_server_is_refused_with_its_field(client: Client, ann: Headers) -> None:
    kept = data_of(create(client, ann))
    for fields, field in RUBBISH:
        for answer in (create(client, ann, **fields), update(client, ann, server_id=kept["server_id"], **fields)):
            assert code_of(answer, 422) == "invalid_value", fields
            assert answer.json()["error"]["fields"][0]["name"].startswith(field), (fields, answer.text)
            assert "s3cret" not in answer.text
    for missing in ("server_name", "type", "url"):
        body = {name: value for name, value in EXAMPLE.items() if name != missing}
        assert code_of(client.post(SERVERS, json=body, headers=ann), 422) == "invalid_value"
    assert data_of(listed(client, ann)) == [kept]


def test_a_program_of_this_machine_is_not_for_everyone(client: Client, ann: Headers) -> None:
    server_id = data_of(create(client, ann))["server_id"]
    for answer in (create(client, ann, **STDIO), update(client, ann, server_id=server_id, **STDIO)):
        assert code_of(answer, 403) == "stdio_not_allowed"
        assert "mcp.allow_stdio" in answer.json()["status_message"]


def test_another_s_server_is_like_none(
    client: Client, ann: Headers, register: Register, connections: ScriptedMcpConnections
) -> None:
    bob = register()
    server = data_of(create(client, ann, server_name="secret"))["server_id"]
    connections.offers[URL] = []
    for wanted in (server, "gone", "x" * 128, "😀"):
        agent = {"name": "a", "mcp_ids": [wanted]}
        for answer in (
            client.get(f"{SERVERS}/{wanted}", headers=bob),
            update(client, bob, server_id=wanted, server_name="mine"),
            remove(client, bob, wanted),
            ask(client, bob, wanted),
            client.post("/api/v1/agent", json=agent, headers=bob),
        ):
            assert code_of(answer, 404) == "mcp_server_not_found"
    assert data_of(listed(client, bob)) == []
    assert connections.asked == []
    assert connections.forgotten == []
    assert [one["server_name"] for one in data_of(listed(client, ann))] == ["secret"]


def test_a_removed_server_is_gone_from_agents_too(client: Client, ann: Headers) -> None:
    one, two = [data_of(create(client, ann, server_name=name))["server_id"] for name in "ab"]
    agent = {"name": "a", "mcp_ids": [two, one], "require_approval": [one]}
    made = data_of(client.post("/api/v1/agent", json=agent, headers=ann))
    assert (made["mcp_ids"], made["require_approval"]) == ([two, one], [one])
    data_of(client.request("DELETE", f"{SERVERS}?server_id={one}", headers=ann))
    left = data_of(client.get(f"/api/v1/agent/{made['agent_id']}", headers=ann))
    assert (left["mcp_ids"], left["require_approval"]) == ([two], [])


def test_pages_together_are_the_list_and_cost_one_statement(client: Client, ann: Headers, statements: Any) -> None:
    made = [data_of(create(client, ann, server_name=f"server {number}"))["server_id"] for number in range(4)]
    statements.clear()
    whole = data_of(listed(client, ann))
    assert len(statements) == 1
    assert [one["server_id"] for one in whole] == made[::-1]
    first = listed(client, ann, limit=3)
    second = listed(client, ann, limit=3, cursor=first.json()["next_cursor"])
    assert data_of(first) + data_of(second) == whole
    assert "next_cursor" not in second.json()


def test_an_account_has_so_many_servers_and_no_more(client: Client, ann: Headers) -> None:
    for number in range(50):
        data_of(create(client, ann, server_name=f"server {number}"))
    assert code_of(create(client, ann), 409) == "too_many_mcp_servers"
    data_of(remove(client, ann, data_of(listed(client, ann))[0]["server_id"]))
    data_of(create(client, ann))


def test_without_a_token_there_is_nothing(client: Client) -> None:
    for verb, path in [("POST", ""), ("GET", ""), ("PUT", ""), ("DELETE", ""), ("GET", "/x")]:
        assert code_of(client.request(verb, f"{SERVERS}{path}"), 401) == "token_missing"
    assert code_of(client.get("/api/v1/mcp_tools?server_id=x"), 401) == "token_missing"


SECRET_WORDS = [f"s3cret-{number}" for number in range(9)]


def dump(database_url: str) -> str:
    """Every row of every table; of SQLite also the bytes of its files."""

    async def read() -> list[str]:
        database = open_database(database_url)

        def rows() -> list[str]:
            with database.writer.connect() as connection:
                return [str(row) for table in metadata.sorted_tables for row in connection.execute(select(table))]

        try:
            return await database.run(rows)
        finally:
            await database.aclose()

    told = asyncio.run(read())
    if database_url.startswith("sqlite"):
        file = sqlite_file(database_url)
        told += [one.read_bytes().decode("latin-1") for one in file.parent.glob(f"{file.name}*")]
    return "\n".join(told)


def test_no_secret_lies_open_in_the_database(client: Client, ann: Headers, database_url: str) -> None:
    one, two, three, four, five, six, seven, eight, nine = SECRET_WORDS
    auths = [
        {"auth_type": "Bearer", "token": one},
        {"auth_type": "Basic", "username": two, "password": three},
        {"auth_type": "APIKey", "in": "query", "name": "key", "value": four},
        {"auth_type": "Header", "name": "X-Key", "value": five},
    ]
    for auth in auths:
        data_of(client.post("/api/v1/tool/create", json={"en_name": "shown", "auth_config": auth}, headers=ann))
    made = data_of(create(client, ann, url=f"{URL}?key={six}", headers={"X-Key": seven}))
    data_of(update(client, ann, server_id=made["server_id"], headers={"X-Key": eight, "X-Other": nine}))
    told = dump(database_url)
    assert told.count("shown") >= 4
    assert [
        word for word in (*SECRET_WORDS, base64.b64encode(f"{two}:{three}".encode()).decode()) if word in told
    ] == []
