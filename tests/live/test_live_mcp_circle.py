"""An agent that has its own server among its MCP servers may ask itself, and comes to an end."""

import json
from pathlib import Path
from typing import Any

from live.live_server import Live, LiveServer, Person, chunk, free_port, settings_for, text_of
from servers.byte_server import Exchange

STOP = {"index": 0, "delta": {}, "finish_reason": "stop"}
CALLS = {"index": 0, "delta": {}, "finish_reason": "tool_calls"}


async def passing_on(exchange: Exchange) -> None:
    """It asks itself, and repeats what it was told."""
    await exchange.head()
    last = exchange.json["messages"][-1]
    if last["role"] == "tool":
        await exchange.events(chunk(f"heard: {last['content']}"), {"choices": [STOP]}, b"[DONE]")
    else:
        arguments = json.dumps({"agent": "circle", "question": "go on"})
        function = {"name": "ask_agent", "arguments": arguments}
        called = {"tool_calls": [{"index": 0, "id": "c1", "type": "function", "function": function}]}
        await exchange.events({"choices": [{"index": 0, "delta": called, "finish_reason": None}]})
        await exchange.events({"choices": [CALLS]}, b"[DONE]")
    await exchange.end()


async def made(person: Person, path: str, body: dict[str, Any]) -> Any:
    answer = await person.client.post(f"/api/v1/{path}", json=body, headers=person.headers)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


async def test_an_agent_that_asks_itself_stops_after_a_few_times(tmp_path: Path) -> None:
    port, upstream_port = free_port(), free_port()
    network = {"NETWORK__ALLOW_PRIVATE": '["127.0.0.1"]', "NETWORK__ALLOW_PORTS": f"[{port}]"}
    settings = settings_for(upstream_port, EMBEDDING__KIND="none", **network)
    server = LiveServer(tmp_path, settings, port)
    try:
        await server.start()
        async with Live(server, upstream_port).model(passing_on) as (_, person):
            address = {"type": "streamable_http", "url": f"{server.url}/mcp", "headers": person.headers}
            known = await made(person, "mcp_server", {"server_name": "myself", **address})
            circle = await made(person, "agent", {"name": "circle", "mcp_ids": [known["server_id"]]})
            frames = await person.answer("go", agent_id=circle["agent_id"])
            assert "Agents asked agents 3 times" in text_of(frames)
            assert len(await person.get("/dialog/list")) == 4
    finally:
        server.kill()
