"""MCP servers that came with a document: while a secret of theirs is missing nobody asks at their address."""

from typing import Any

import pytest

from adapters.database.transactions import DatabaseTransactions
from adapters.scripted import ScriptedMcpConnections
from domain.errors import Conflict
from domain.tools.mcp_servers import MASK
from stored import registered
from tool_desk import URL, ToolDesk

WITHOUT = "https://mcp.example.org/s/***/mcp"


@pytest.mark.parametrize("url", [WITHOUT, "https://mcp.example.org/***", "https://mcp.example.org/***/mcp?a=b"])
async def test_a_server_is_not_asked_while_a_part_of_its_url_is_left_out(
    transactions: DatabaseTransactions, url: str
) -> None:
    connections = ScriptedMcpConnections({url: [], URL: []})
    desk = ToolDesk(transactions, connections)
    owner = await registered(transactions)
    server = await desk.server(owner, url=url)
    ask, load = desk.ask(), desk.load_servers()
    with pytest.raises(Conflict, match="url") as refusal:
        await ask(owner, server.server_id)
    assert refusal.value.code == "secret_needed"
    there, [left_out] = await load(owner, [server.server_id])
    assert (there, left_out.server_id, "***" in left_out.reason) == ([], server.server_id, True)
    assert connections.asked == []
    await desk.change_server(owner, server.server_id, url=URL)
    assert await ask(owner, server.server_id) == []
    assert len((await load(owner, [server.server_id]))[0]) == 1


@pytest.mark.parametrize("said", [{"url": f"{URL}/a***"}, {"url": f"{URL}?a=***/***/"}, {"name": "***"}])
async def test_stars_elsewhere_are_no_gap(transactions: DatabaseTransactions, said: dict[str, Any]) -> None:
    desk = ToolDesk(transactions)
    owner = await registered(transactions)
    server = await desk.server(owner, headers=(("X-Key", "value"),), **said)
    there, left_out = await desk.load_servers()(owner, [server.server_id])
    assert ([one.server_id for one in there], left_out) == ([server.server_id], [])


async def test_all_that_is_missing_is_said_at_once(transactions: DatabaseTransactions) -> None:
    desk = ToolDesk(transactions)
    owner = await registered(transactions)
    server = await desk.server(owner, url=WITHOUT)
    lacking = server.address.awaiting(["X-Key"]).lacks
    assert lacking == "the values of its headers (X-Key) and the parts of its url that are ***"
    assert MASK not in lacking
    assert server.address.awaiting([]).lacks == "the parts of its url that are ***"
