"""Every secret that a running server is told, and servers around it that repeat them: none is stored or shown."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from live.live_mcp import http_program
from live.live_server import LiveServer, free_port
from live.planted import (
    BROKEN,
    CALLS,
    DIMENSIONS,
    REFUSED,
    Outside,
    Planted,
    api_document,
    forms,
    postgres_dump,
    sqlite_dump,
)
from servers.byte_server import ByteServer
from servers.postgres import Postgres

LOGIN, REFRESH, API_KEY = "POST /api/v1/user/login", "POST /api/v1/user/refresh", "POST /api/v1/api_key"
SERVER = "/api/v1/mcp_server"


@dataclass
class Visit:
    """A person at the server, each of whose answers is kept."""

    client: httpx.AsyncClient
    planted: Planted
    headers: dict[str, str]

    async def sent(self, method: str, path: str, body: object = None, **more: Any) -> Any:
        answer = await self.client.request(method, f"/api/v1{path}", json=body, headers=self.headers, **more)
        assert answer.status_code == 200, f"{method} {path}: {answer.text}"
        return answer.json()["data"]

    async def refused(self, method: str, path: str, body: object = None, **more: Any) -> None:
        answer = await self.client.request(method, f"/api/v1{path}", json=body, headers=self.headers, **more)
        assert answer.status_code >= 400, f"{method} {path}: {answer.text}"

    async def ask(self, text: str, agent_id: str | None = None, dialog: str = "d") -> str:
        body = {"user_input": text, "dialog_id": dialog, "agent_id": agent_id}
        answer = await self.client.post("/api/v1/chat", json=body, headers=self.headers)
        assert '"type":"done"' in answer.text, answer.text
        return answer.text


def settings_with(planted: Planted, url: str, database_url: str | None) -> dict[str, object]:
    def model(provider: str, path: str, name: str) -> dict[str, str]:
        return {"provider": provider, "base_url": url + path, "model": "m", "api_key": planted.new(name)}

    outside = {"fake": model("openai_compatible", "/v1", "a system model's key")}
    outside["claude"] = model("anthropic", "", "a key for the other protocol")
    keys = [planted.new("the first of secret_keys", "{0}+{0}/="), planted.new("the second of secret_keys", "{0}{0}")]
    database = {}
    if database_url:
        # Any password opens this one.
        database["DATABASE_URL"] = database_url.replace("postgres@", f"postgres:{planted.new('of the database')}@")
    return {
        "MODELS": json.dumps(outside),
        "DEFAULT_MODEL": "fake",
        "SECRET_KEYS": json.dumps(keys),
        "EMBEDDING__KIND": "openai_compatible",
        "EMBEDDING__MODEL": "m",
        "EMBEDDING__BASE_URL": f"{url}/v1",
        "EMBEDDING__API_KEY": planted.new("the embedder's key"),
        "EMBEDDING__DIMENSIONS": DIMENSIONS,
        "RERANK__BASE_URL": f"{url}/v1",
        "RERANK__API_KEY": planted.new("the reranker's key"),
        "WEB_SEARCH__KIND": "tavily",
        "WEB_SEARCH__BASE_URL": f"{url}/search",
        "WEB_SEARCH__API_KEY": planted.new("the search engine's key"),
        "LOG_LEVEL": "debug",
        "INGESTION__IN_SERVER": "true",
        "MCP__ALLOW_STDIO": "true",
        "NETWORK__ALLOW_PRIVATE": json.dumps(["127.0.0.1/32"]),
        **database,
    }


async def account(client: httpx.AsyncClient, planted: Planted) -> Visit:
    old, new = planted.new("a password", "pass word+/ü{}"), planted.new("a new password", "Pass%&{}")
    body = {"user_name": "ada", "user_password": old}
    visit = Visit(client, planted, {})
    await visit.sent("POST", "/user/register", body)
    first = await visit.sent("POST", "/user/login", body)
    planted.note("an access token", first["access_token"], LOGIN)
    planted.note("a spent refresh token", first["refresh_token"], LOGIN)
    await visit.refused("POST", "/user/login", body | {"user_password": planted.new("a wrong password")})
    second = await visit.sent("POST", "/user/refresh", {"refresh_token": first["refresh_token"]})
    planted.note("a second access token", second["access_token"], REFRESH)
    planted.note("a refresh token", second["refresh_token"], REFRESH)
    visit.headers = {"Authorization": f"Bearer {second['access_token']}"}
    await visit.sent("PUT", "/user/password", {"old_password": old, "new_password": new})
    made = await visit.sent("POST", "/api_key", {"name": "mine"})
    planted.note("an API key", made["api_key"], API_KEY)
    visit.headers = {"Authorization": f"Bearer {planted.new('a wrong API key', 'ak-{}')}"}
    await visit.refused("GET", "/agent")
    visit.headers = {"Authorization": f"Bearer {made['api_key']}"}
    return visit


async def models(visit: Visit, url: str) -> None:
    for name in (None, "claude"):
        agent = await visit.sent("POST", "/agent", {"name": f"of {name}", "llm_id": name} if name else {"name": "A"})
        assert '"error"' in await visit.ask(REFUSED, agent["agent_id"], f"refused {name}")
    assert "Hm." in await visit.ask(BROKEN, dialog="broken")
    for provider, path in (("openai_compatible", "/v1"), ("anthropic", ""), ("openai", "/v1")):
        key = visit.planted.new(f"a key of one's own for {provider}")
        body = {"model": "m", "provider": provider, "base_url": url + path, "api_key": key}
        made = await visit.sent("POST", "/llm/create", body)
        agent = await visit.sent("POST", "/agent", {"name": provider, "llm_id": made["llm_id"]})
        assert '"error"' in await visit.ask(REFUSED, agent["agent_id"], provider)
        await visit.sent("POST", "/llm/test", {"llm_id": made["llm_id"]})
        await visit.refused("PUT", "/llm/update", {"llm_id": made["llm_id"], "api_key": f"{key}é"})
    embedding = {"model": REFUSED, "provider": "openai", "base_url": f"{url}/v1", "llm_type": "Embedding"}
    tried = embedding | {"api_key": visit.planted.new("a key for one's own vectors")}
    await visit.sent("POST", "/llm/test", tried)


def auths(planted: Planted) -> dict[str, dict[str, str]]:
    return {
        "bearer": {"auth_type": "Bearer", "token": planted.new("a tool's token")},
        "basic": {
            "auth_type": "Basic",
            "username": planted.new("a tool's user", "user-{}"),
            "password": planted.new("a tool's password", "p+/ß={}"),
        },
        "query": {"auth_type": "APIKey", "in": "query", "name": "k", "value": planted.new("a tool's query", "q+/&={}")},
        "header": {"auth_type": "Header", "name": "X-Key", "value": planted.new("a tool's header", "h+/=; {}")},
    }


async def tools(visit: Visit, url: str, mcp: str) -> None:
    tool_ids = ["web_search"]
    for name, auth in auths(visit.planted).items():
        body = {"en_name": name, "openapi_schema": api_document(url, name), "auth_config": auth}
        tool_ids.append((await visit.sent("POST", "/tool/create", body))["tool_id"])
    shown = tuple(f"{method} {SERVER}" for method in ("POST", "GET"))
    headers = {"x-key": visit.planted.new("an MCP header", "h+/={}")}
    servers = []
    for name, address in (("there", mcp), ("refusing", f"{url}/no")):
        # The owner is shown the address, and nobody else is.
        query = visit.planted.new(f"an MCP query, {name}", "q{}", *shown)
        body = {"server_name": name, "type": "streamable_http", "url": f"{address}/mcp?key={query}", "headers": headers}
        servers.append((await visit.sent("POST", "/mcp_server", body))["server_id"])
    env = {"KEY": visit.planted.new("an MCP variable", "e+/={}")}
    says = {"command": "/bin/sh", "args": ["-c", 'env >&2; echo "$KEY"; exit 3'], "env": env}
    program = await visit.sent("POST", "/mcp_server", {"server_name": "program", "type": "stdio", **says})
    servers.append(program["server_id"])
    for server_id in servers[1:]:
        await visit.refused("GET", "/mcp_tools", params={"server_id": server_id})
    agent = await visit.sent("POST", "/agent", {"name": "Equipped", "tool_ids": tool_ids, "mcp_ids": servers})
    said = await visit.ask(CALLS, agent["agent_id"], "tools")
    # Those that fail, and the search engine, repeat what they heard as well.
    assert (said.count('"END"'), said.count('"ERROR"')) == (5, 7), said
    exported = await visit.client.get(f"/api/v1/agent/{agent['agent_id']}/export", headers=visit.headers)
    assert exported.status_code == 200


async def knowledge(visit: Visit) -> None:
    made = await visit.sent("POST", "/knowledge/create", {"knowledge_name": "Ships"})
    base = {"knowledge_id": made["knowledge_id"]}
    for text, status in (("Ships sail.", "success"), (REFUSED, "fail")):
        address = await visit.sent("POST", "/upload", files={"file": ("a.txt", text.encode())})
        file = await visit.sent("POST", "/knowledge_file/create", base | {"file_url": address})
        where = {"knowledge_file_id": file["knowledge_file_id"]}
        async with asyncio.timeout(30):
            while (file := await visit.sent("GET", "/knowledge_file/status", params=where))["status"] == "process":
                await asyncio.sleep(0.05)
        assert file["status"] == status, file
    for query in ("ships", REFUSED):
        await visit.sent("POST", "/knowledge/retrieval", base | {"query": query})


async def everything(visit: Visit) -> None:
    """All lists, at the end."""
    for path in ("/user/info", "/api_key", "/agent", "/llm/all", "/tool/all", "/mcp_server", "/usage", "/memory"):
        await visit.sent("GET", path)
    for dialog in await visit.sent("GET", "/dialog/list"):
        for message in await visit.sent("GET", "/history", params={"dialog_id": dialog["dialog_id"]}):
            if run_id := message.get("run_id"):
                await visit.client.get(f"/api/v1/chat/{run_id}/events", headers=visit.headers)
    for path in ("/metrics", "/health/ready", "/docs/openapi.json", "/api/v1/openai/models"):
        assert (await visit.client.get(path, headers=visit.headers)).status_code == 200


@asynccontextmanager
async def visiting(server: LiveServer, planted: Planted) -> AsyncIterator[Visit]:
    hooks = {"response": [planted.heard]}
    async with httpx.AsyncClient(base_url=server.url, timeout=60, event_hooks=hooks) as client:
        yield await account(client, planted)


async def shows_nothing(
    folder: Path, database_url: str | None, administer: Callable[[], object], dump: Callable[[], bytes]
) -> None:
    planted, outside = Planted(), Outside()
    with http_program() as mcp:
        async with ByteServer(outside, port=free_port()) as server_outside:
            url = server_outside.url
            server = LiveServer(folder, settings_with(planted, url, database_url))
            try:
                await server.start()
                async with visiting(server, planted) as visit:
                    administer()
                    await models(visit, url)
                    await tools(visit, url, mcp.url)
                    await knowledge(visit)
                    await everything(visit)
                stored = dump()
            finally:
                server.kill()
    heard = set(planted.found("\n".join(outside.heard).encode()))
    assert {name for name in planted.secrets if "'s key" in name or "key for" in name or "a tool's" in name} <= heard
    assert {name for name, _ in planted.shown_where_due()} == {name for name, places in planted.shown.items() if places}
    assert b"Ships sail." in stored
    assert planted.found(stored) == []
    assert planted.in_answers() == []
    assert planted.found((folder / "server.log").read_bytes()) == []
    for file in folder.rglob("*"):
        assert not file.is_file() or planted.found(file.read_bytes()) == [], file


async def test_no_secret_is_stored_told_or_logged_with_sqlite(tmp_path: Path) -> None:
    file = tmp_path / "agentchat.db"

    def administer() -> None:
        with closing(sqlite3.connect(file, isolation_level=None)) as database:
            database.execute("UPDATE users SET role = 'admin'")

    await shows_nothing(tmp_path, None, administer, lambda: sqlite_dump(file))


async def test_no_secret_is_stored_told_or_logged_with_postgres(
    tmp_path: Path, postgres: Postgres, postgres_url: str
) -> None:
    name = postgres_url.rpartition("/")[2]
    await shows_nothing(
        tmp_path,
        postgres_url,
        lambda: postgres.execute("UPDATE users SET role = 'admin'", name),
        lambda: postgres_dump(postgres.dump(name)),
    )


@pytest.mark.parametrize("secret", ["sk-0123456789abcdef", "p+/ß=0123456789&", "pass word+/ü0123456789"])
def test_a_secret_would_be_found_in_each_form(secret: str) -> None:
    planted = Planted({"it": secret}, {"it": ()})
    for form in forms(secret):
        assert planted.found(b"before " + form + b" after") == ["it"]
    assert planted.found(postgres_dump("COPY t FROM stdin;\n1\t\\\\x00" + secret.encode().hex() + "ff\n")) == ["it"]
    assert planted.found(secret.encode()[:-1]) == []
