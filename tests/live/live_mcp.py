"""A running server with MCP servers of the SDK beside it, and a model that calls what it is told to call."""

import asyncio
import json
import secrets
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from live.live_server import STOP, Frame, Live, LiveServer, Person, chunk, free_port, settings_for
from mcp_scene import SECRET, SERVERS, HttpProgram
from servers.aimock_server import aimock
from servers.byte_server import Exchange

CALL_SECONDS = 20.0
LONG = 60
"""Seconds of a call that nobody cancels."""
PLAIN = "sea"
"""Too short to be a secret."""

Round = Sequence[tuple[str, Mapping[str, object]]]
"""Calls at once: the tool's name, and the arguments."""


@dataclass
class Obedient:
    """A model of OpenAI's protocol: a question is the JSON of the rounds that it is to call.

    `before` holds what happens before it asks for the calls of a round.
    """

    before: dict[int, Callable[[], object]] = field(default_factory=dict)
    heard: list[Any] = field(default_factory=list)

    async def __call__(self, exchange: Exchange) -> None:
        messages = exchange.json["messages"]
        self.heard.append(messages)
        # Images of results come as the user's, and are no question.
        asked = max(
            place for place, one in enumerate(messages) if one["role"] == "user" and isinstance(one["content"], str)
        )
        turn = sum(message["role"] == "assistant" for message in messages[asked:])
        if event := self.before.pop(turn, None):
            event()
        rounds = json.loads(messages[asked]["content"])
        await exchange.head()
        if turn < len(rounds):
            calls = [
                {"index": place, "id": f"{turn}.{name}", "type": "function"}
                | {"function": {"name": name, "arguments": json.dumps(arguments)}}
                for place, (name, arguments) in enumerate(rounds[turn])
            ]
            await exchange.events({"choices": [{"index": 0, "delta": {"tool_calls": calls}, "finish_reason": None}]})
            await exchange.events({"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]})
        else:
            await exchange.events(chunk("It went on."), STOP)
        await exchange.events(b"[DONE]")
        await exchange.end()


@dataclass
class McpLive:
    """`living` is never killed. There are models of both vendors, `gpt` and `claude`, and an obedient one."""

    server: LiveServer
    vendors: str
    upstream_port: int
    living: HttpProgram

    @asynccontextmanager
    async def admin(self, model: Obedient | None = None) -> AsyncIterator[Person]:
        """Only admins may have programs started."""
        async with Live(self.server, self.upstream_port).model(model or Obedient()) as (_, person):
            user_id = (await person.get("/user/info"))["user_id"]
            # The command that makes admins takes longer than everything else here.
            with closing(sqlite3.connect(self.server.data_dir / "agentchat.db", isolation_level=None)) as database:
                database.execute("UPDATE users SET role = 'admin' WHERE user_id = ?", [user_id])
            yield person


@contextmanager
def mcp_live(data_dir: Path) -> Iterator[McpLive]:
    port = free_port()
    with aimock() as vendors, http_program() as living, ExitStack() as at_the_end:
        settings = settings_for(port, TOOL_TIMEOUT_SECONDS=CALL_SECONDS, MCP__ALLOW_STDIO="true")
        settings["NETWORK__ALLOW_PRIVATE"] = json.dumps(["127.0.0.1/32"])
        models = json.loads(str(settings["MODELS"]))
        models["fake"] |= {"context_window": 100_000, "vision": True}
        for name, provider, path in (("gpt", "openai_compatible", "/v1"), ("claude", "anthropic", "")):
            models[name] = {"provider": provider, "base_url": vendors + path, "api_key": "k", "context_window": 200_000}
        settings["MODELS"] = json.dumps(models)
        server = LiveServer(data_dir, settings)
        at_the_end.callback(server.kill)
        asyncio.run(server.start())
        yield McpLive(server, vendors, port, living)


@contextmanager
def http_program() -> Iterator[HttpProgram]:
    program = HttpProgram()
    try:
        yield program.start()
    finally:
        program.kill()


async def made(person: Person, path: str, body: object) -> Any:
    answer = await person.client.post(f"/api/v1{path}", json=body, headers=person.headers)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


def at_http(url: str) -> dict[str, object]:
    headers = {"x-key": SECRET, "x-plain": PLAIN}
    return {"server_name": "over http", "type": "streamable_http", "url": f"{url}/mcp", "headers": headers}


def at_sse(url: str) -> dict[str, object]:
    headers = {"x-key": SECRET, "x-plain": PLAIN}
    return {"server_name": "over sse", "type": "sse", "url": f"{url}/sse", "headers": headers}


def at_stdio(command: str = sys.executable) -> dict[str, object]:
    args = [str(SERVERS / "mcp_tools_server.py"), "stdio", "0"]
    env = {"KEY": SECRET, "PLAIN": PLAIN}
    return {"server_name": "a program", "type": "stdio", "command": command, "args": args, "env": env}


async def agent_with(person: Person, *addresses: Mapping[str, object], **more: object) -> str:
    """In that order: what the first calls `add` is `add_2` of the second."""
    servers = [await made(person, "/mcp_server", address) for address in addresses]
    mcp_ids = [server["server_id"] for server in servers]
    name = f"Equipped {secrets.token_hex(6)}"
    return str((await made(person, "/agent", {"name": name, "mcp_ids": mcp_ids, **more}))["agent_id"])


def steps(frames: list[Frame], *statuses: str) -> dict[str, dict[str, Any]]:
    """By the ids of the calls: how they ended, if nothing else is asked for."""
    wanted = statuses or ("END", "ERROR")
    found = [frame.data for frame in frames if frame.event == "event" and frame.data["status"] in wanted]
    return {step["tool_call_id"]: step for step in found}


def outcomes(frames: list[Frame]) -> dict[str, str]:
    """What is known of each call at the end."""
    return {number: step["status"] for number, step in steps(frames, "START", "END", "ERROR").items()}
