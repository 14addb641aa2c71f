"""Tools and MCP servers in the database: their owner's alone, and as they were stored."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.database.transactions import DatabaseTransactions
from application.paging import Position, Window
from application.ports.tools import Stock
from domain.errors import NotFound, Unauthenticated
from domain.ids import McpServerId, ToolId
from domain.tools.mcp_servers import McpTransport
from domain.tools.user_tools import ApiDocument, AuthType, SealedAuth, ToolDraft
from stored import NOBODY, registered, seconds
from tool_desk import stored_server, user_tool

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=40)
CHANGES = st.fixed_dictionaries(
    {
        "zh_name": TEXTS,
        "en_name": TEXTS,
        "description": TEXTS,
        "logo_url": TEXTS,
        "document": st.none() | st.builds(ApiDocument, TEXTS, st.booleans()),
        "auth": st.none() | st.builds(SealedAuth, st.sampled_from(AuthType), TEXTS),
    }
)
SERVER_CHANGES = st.fixed_dictionaries(
    {
        "name": TEXTS,
        "transport": st.sampled_from(McpTransport),
        "sealed": TEXTS,
        "description": TEXTS,
        "tools": st.lists(TEXTS, max_size=4).map(tuple),
        "status": TEXTS,
    }
)


@settings(max_examples=15)
@given(first=CHANGES, second=CHANGES, server=SERVER_CHANGES, other=SERVER_CHANGES)
async def test_they_come_back_as_stored_and_as_saved(
    transactions: DatabaseTransactions, first: Any, second: Any, server: Any, other: Any
) -> None:
    owner = await registered(transactions)
    tool, made = user_tool(owner, **first), stored_server(owner, **server)
    async with transactions.begin() as tx:
        await tx.tools.add(tool)
        await tx.mcp_servers.add(made)
        assert await tx.tools.get(tool.tool_id, owner=owner) == tool
        assert await tx.mcp_servers.get(made.server_id, owner=owner) == made
        tool, made = replace(tool, **second, updated_at=seconds(1)), replace(made, **other, updated_at=seconds(1))
        await tx.tools.save(tool)
        await tx.mcp_servers.save(made)
    async with transactions.autocommit() as tx:
        assert await tx.tools.list(Window(), owner=owner) == [tool]
        assert await tx.mcp_servers.list(Window(), owner=owner) == [made]
        assert await tx.tools.stock(owner=owner) == Stock(1, tool.size)
        assert await tx.mcp_servers.count(owner=owner) == 1


async def test_lists_are_newest_first_and_pages_miss_nothing(transactions: DatabaseTransactions) -> None:
    owner = await registered(transactions)
    tools = [user_tool(owner, created_at=seconds(number // 2)) for number in range(5)]
    servers = [stored_server(owner, created_at=seconds(number // 2)) for number in range(5)]
    async with transactions.begin() as tx:
        for tool, server in zip(tools, servers, strict=True):
            await tx.tools.add(tool)
            await tx.mcp_servers.add(server)
    tools.sort(key=lambda one: (one.created_at, one.tool_id), reverse=True)
    servers.sort(key=lambda one: (one.created_at, one.server_id), reverse=True)
    async with transactions.autocommit() as tx:
        assert await tx.tools.list(Window(), owner=owner) == tools
        assert await tx.mcp_servers.list(Window(), owner=owner) == servers
        behind = Window(2, Position(tools[1].created_at, tools[1].tool_id))
        assert await tx.tools.list(behind, owner=owner) == tools[2:5]
        behind = Window(1, Position(servers[0].created_at, servers[0].server_id))
        assert await tx.mcp_servers.list(behind, owner=owner) == servers[1:3]


async def test_a_stranger_finds_and_changes_nothing(transactions: DatabaseTransactions) -> None:
    owner, stranger = await registered(transactions), await registered(transactions)
    tool, server = user_tool(owner), stored_server(owner)
    async with transactions.begin() as tx:
        await tx.tools.add(tool)
        await tx.mcp_servers.add(server)
    async with transactions.autocommit() as tx:
        assert await tx.tools.list(Window(), owner=stranger) == []
        assert await tx.mcp_servers.list(Window(), owner=stranger) == []
        assert await tx.tools.these([tool.tool_id], owner=stranger) == []
        assert await tx.mcp_servers.these([server.server_id], owner=stranger) == []
        assert await tx.tools.held([tool.tool_id], owner=stranger) == frozenset()
        assert await tx.mcp_servers.held([server.server_id], owner=stranger) == frozenset()
        assert (await tx.tools.stock(owner=stranger)).tools == await tx.mcp_servers.count(owner=stranger) == 0
        await tx.mcp_servers.note(replace(server, user_id=stranger, status="stolen"))
        for act in (
            lambda: tx.tools.get(tool.tool_id, owner=stranger),
            lambda: tx.tools.save(replace(tool, user_id=stranger, en_name="stolen")),
            lambda: tx.tools.remove(tool.tool_id, seconds(1), owner=stranger),
            lambda: tx.mcp_servers.get(server.server_id, owner=stranger),
            lambda: tx.mcp_servers.save(replace(server, user_id=stranger, name="stolen")),
            lambda: tx.mcp_servers.remove(server.server_id, seconds(1), owner=stranger),
        ):
            with pytest.raises(NotFound):
                await act()
        assert await tx.tools.get(tool.tool_id, owner=owner) == tool
        assert await tx.mcp_servers.get(server.server_id, owner=owner) == server


async def test_a_deleted_account_is_told_so_and_leaves_nothing(transactions: DatabaseTransactions) -> None:
    owner = await registered(transactions)
    tool, server = user_tool(owner), stored_server(owner)
    async with transactions.begin() as tx:
        await tx.tools.add(tool)
        await tx.mcp_servers.add(server)
        await tx.users.remove(owner)
    async with transactions.autocommit() as tx:
        await tx.mcp_servers.note(server)
        for act in (
            lambda: tx.tools.add(tool),
            lambda: tx.tools.get(tool.tool_id, owner=owner),
            lambda: tx.tools.list(Window(), owner=owner),
            lambda: tx.tools.these([tool.tool_id], owner=owner),
            lambda: tx.tools.held([tool.tool_id], owner=owner),
            lambda: tx.tools.stock(owner=NOBODY),
            lambda: tx.tools.save(tool),
            lambda: tx.tools.remove(tool.tool_id, seconds(1), owner=owner),
            lambda: tx.mcp_servers.add(server),
            lambda: tx.mcp_servers.get(server.server_id, owner=owner),
            lambda: tx.mcp_servers.list(Window(), owner=owner),
            lambda: tx.mcp_servers.these([server.server_id], owner=owner),
            lambda: tx.mcp_servers.held([server.server_id], owner=owner),
            lambda: tx.mcp_servers.count(owner=NOBODY),
            lambda: tx.mcp_servers.save(server),
            lambda: tx.mcp_servers.remove(server.server_id, seconds(1), owner=owner),
        ):
            with pytest.raises(Unauthenticated):
                await act()


async def test_these_are_each_there_once_and_asked_for_once(
    transactions: DatabaseTransactions, statements: list[str]
) -> None:
    owner = await registered(transactions)
    tools, servers = [user_tool(owner) for _ in range(3)], [stored_server(owner) for _ in range(3)]
    async with transactions.begin() as tx:
        for tool, server in zip(tools, servers, strict=True):
            await tx.tools.add(tool)
            await tx.mcp_servers.add(server)
    statements.clear()
    async with transactions.autocommit() as tx:
        asked = [tools[2].tool_id, tools[0].tool_id, tools[0].tool_id, ToolId("gone")]
        found = await tx.tools.these(asked, owner=owner)
        assert sorted(one.tool_id for one in found) == sorted({tools[0].tool_id, tools[2].tool_id})
        reached = await tx.mcp_servers.these([servers[1].server_id, McpServerId("gone")], owner=owner)
        assert [*reached] == [servers[1]]
    assert len(statements) == 2


async def test_what_was_seen_of_a_server_that_was_changed_meanwhile_is_not_kept(
    transactions: DatabaseTransactions,
) -> None:
    owner = await registered(transactions)
    server = stored_server(owner)
    changed = replace(server, name="new", updated_at=seconds(1))
    async with transactions.autocommit() as tx:
        await tx.mcp_servers.add(server)
        await tx.mcp_servers.note(server.now_seen(("a",), "ok"))
        assert (await tx.mcp_servers.get(server.server_id, owner=owner)).tools == ("a",)
        await tx.mcp_servers.save(changed)
        await tx.mcp_servers.note(server.now_seen(("old",), "ok"))
        assert await tx.mcp_servers.get(server.server_id, owner=owner) == changed


async def test_of_two_changes_at_once_none_is_lost(transactions: DatabaseTransactions) -> None:
    owner = await registered(transactions)
    tool = user_tool(owner)
    async with transactions.begin() as tx:
        await tx.tools.add(tool)

    async def change(draft: ToolDraft) -> None:
        async with transactions.begin() as tx:
            found = await tx.tools.get(tool.tool_id, owner=owner)
            await asyncio.sleep(0.01)
            await tx.tools.save(found.change(draft, seconds(1)))

    await asyncio.gather(change(ToolDraft(zh_name="one")), change(ToolDraft(en_name="two")))
    async with transactions.autocommit() as tx:
        kept = await tx.tools.get(tool.tool_id, owner=owner)
    assert (kept.zh_name, kept.en_name) == ("one", "two")
