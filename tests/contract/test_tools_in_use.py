"""Tools and MCP servers as chats load them, and as servers are asked for what they offer."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from adapters.database.transactions import DatabaseTransactions
from adapters.scripted import ScriptedMcpConnections
from application.ports.mcp_connections import McpTool
from application.sealing import KEY_LOST
from domain.accounts.users import Role
from domain.errors import Conflict, Forbidden, NotFound, UpstreamFailed
from domain.ids import McpServerId, ToolId, UserId
from domain.tools.credentials import Credentials
from domain.tools.mcp_servers import McpServer, McpTransport
from domain.tools.user_tools import ApiDocument, AuthDraft, AuthType
from stored import registered, user
from tool_desk import CALCULATOR, URL, ToolDesk

OTHER_KEY = ("another-secret-of-the-tests-that-is-long-enough-012345",)
TOOLS = [McpTool("read", "Read", "Reads a file.", {"type": "object"}), McpTool("write", "", "", {"type": "object"})]
BEARER = AuthDraft(AuthType.BEARER, token="t0ken")


@pytest.fixture
async def owner(transactions: DatabaseTransactions) -> UserId:
    return await registered(transactions)


@pytest.fixture
def desk(transactions: DatabaseTransactions) -> ToolDesk:
    return ToolDesk(transactions)


async def admin(desk: ToolDesk) -> UserId:
    one = replace(user(), role=Role.ADMIN)
    async with desk.transactions.begin() as tx:
        await tx.users.add(one)
    return one.user_id


async def test_a_chat_loads_its_tools_with_their_credentials_in_one_statement(
    desk: ToolDesk, owner: UserId, statements: list[str]
) -> None:
    document, auth = ApiDocument("{}"), desk.seals.auth(BEARER)
    one, two = [await desk.tool(owner, name, document=document, auth=auth) for name in "ab"]
    open_to_all = await desk.tool(owner, "c", document=document)
    bare, theirs = await desk.tool(owner), await desk.tool(await registered(desk.transactions), document=document)
    wanted = [two, bare, theirs, open_to_all, one, two]
    statements.clear()
    asked = [CALCULATOR, *(tool.tool_id for tool in wanted), ToolId("gone")]
    found, beyond = await desk.load_tools()(owner, asked, 6)
    assert (len(statements), beyond) == (1, ())
    assert [each.tool for each in found] == [two, open_to_all, one]
    bearer = Credentials(headers=(("Authorization", "Bearer t0ken"),))
    assert [each.credentials for each in found] == [bearer, Credentials(), bearer]


async def test_a_chat_with_built_in_tools_alone_asks_for_none(
    desk: ToolDesk, owner: UserId, statements: list[str]
) -> None:
    statements.clear()
    assert await desk.load_tools()(owner, [CALCULATOR], 0) == ((), ())
    assert await desk.load_servers()(owner, []) == ((), ())
    assert statements == []


async def test_under_another_key_there_are_no_credentials_and_the_rest_is_there(desk: ToolDesk, owner: UserId) -> None:
    document = ApiDocument("{}")
    tool = await desk.tool(owner, document=document, auth=desk.seals.auth(BEARER))
    bare = await desk.tool(owner, document=document)
    server = await desk.server(owner)
    other = replace(desk, secrets=OTHER_KEY)
    found, _ = await other.load_tools()(owner, [tool.tool_id, bare.tool_id], 4)
    assert [one.credentials for one in found] == [None, Credentials()]
    reached, left_out = await other.load_servers()(owner, [server.server_id])
    assert reached == []
    assert [(one.name, KEY_LOST in one.reason) for one in left_out] == [("files", True)]
    with pytest.raises(Conflict, match="send it again"):
        await other.ask()(owner, server.server_id)


async def test_a_server_under_a_lost_key_is_renamed_without_harm_and_mended_by_its_address(
    desk: ToolDesk, owner: UserId
) -> None:
    server = await desk.server(owner, headers=(("X-Key", "secret"),))
    other = replace(desk, secrets=OTHER_KEY)
    renamed = await other.change_server(owner, server.server_id, name="new")
    assert (renamed.name, renamed.address.url) == ("new", "")
    ((again,), _) = await desk.load_servers()(owner, [server.server_id])
    assert (again.name, again.address, again.status) == ("new", server.address, "unknown")
    await other.change_server(owner, server.server_id, url=URL)
    ((mended,), _) = await other.load_servers()(owner, [server.server_id])
    assert (mended.address.url, mended.address.headers, mended.status) == (URL, (), "unknown")


async def test_a_server_is_asked_with_its_secrets_and_its_tools_are_kept(desk: ToolDesk, owner: UserId) -> None:
    server = await desk.server(owner, headers=(("X-Key", "secret"),))
    desk.connections.offers[URL] = TOOLS
    assert await desk.ask()(owner, server.server_id) == TOOLS
    assert desk.connections.asked == [server]
    ((seen,), _) = await desk.load_servers()(owner, [server.server_id])
    assert (seen.tools, seen.status) == (("read", "write"), "ok")


async def test_a_server_that_is_away_says_why_and_keeps_its_tools(desk: ToolDesk, owner: UserId) -> None:
    server = await desk.server(owner)
    desk.connections.offers[URL] = TOOLS
    await desk.ask()(owner, server.server_id)
    desk.connections.offers[URL] = "it refuses the connection."
    with pytest.raises(UpstreamFailed, match=r"'files' can't be used now: it refuses the connection.") as refused:
        await desk.ask()(owner, server.server_id)
    assert refused.value.code == "mcp_server_unavailable"
    ((away,), _) = await desk.load_servers()(owner, [server.server_id])
    assert (away.tools, away.status) == (("read", "write"), "it refuses the connection.")


class Slow(ScriptedMcpConnections):
    """While it is asked, its owner changes it."""

    async def tools(self, server: McpServer, *, fresh: bool = False) -> Sequence[McpTool]:
        await self.desk.change_server(server.user_id, server.server_id, url=URL + "2")
        return await super().tools(server, fresh=fresh)

    desk: ToolDesk


async def test_what_is_changed_while_it_is_asked_waits_for_nothing_and_keeps_its_change(
    desk: ToolDesk, owner: UserId
) -> None:
    server = await desk.server(owner)
    desk.connections = slow = Slow({URL: TOOLS})
    slow.desk = desk
    assert await desk.ask()(owner, server.server_id) == TOOLS
    ((now,), _) = await desk.load_servers()(owner, [server.server_id])
    assert (now.address.url, now.tools, now.status) == (URL + "2", (), "unknown")


async def test_what_was_seen_already_is_not_written_again(desk: ToolDesk, owner: UserId, statements: list[str]) -> None:
    server = await desk.server(owner)
    desk.connections.offers[URL] = TOOLS
    await desk.ask()(owner, server.server_id)
    statements.clear()
    await desk.ask()(owner, server.server_id)
    assert len(statements) == 1


async def test_another_s_server_is_not_asked(desk: ToolDesk, owner: UserId) -> None:
    server = await desk.server(owner)
    stranger = await registered(desk.transactions)
    desk.connections.offers[URL] = TOOLS
    for wanted in (server.server_id, McpServerId("gone")):
        with pytest.raises(NotFound):
            await desk.ask()(stranger, wanted)
    assert await desk.load_servers()(stranger, [server.server_id]) == ([], [])
    assert desk.connections.asked == []


async def test_whoever_is_changed_is_forgotten(desk: ToolDesk, owner: UserId) -> None:
    server = await desk.server(owner)
    await desk.change_server(owner, server.server_id, name="new")
    assert desk.connections.forgotten == [server.server_id]
    stranger = await registered(desk.transactions)
    with pytest.raises(NotFound):
        await desk.change_server(stranger, server.server_id, name="stolen")
    with pytest.raises(NotFound):
        await desk.delete_server(stranger, server.server_id)
    assert desk.connections.forgotten == [server.server_id]


async def test_a_program_of_this_machine_is_an_admin_s_where_the_operator_allows_it(desk: ToolDesk) -> None:
    chief, person = await admin(desk), await registered(desk.transactions)
    allowed = replace(desk, allow_stdio=True)
    for who, whose in ((chief, desk), (person, allowed), (person, desk)):
        server = await desk.server(who, name="s", transport=McpTransport.STDIO, url=None, command="run")
        http = await desk.server(who)
        with pytest.raises(Forbidden) as refused:
            await whose.ask()(who, server.server_id)
        assert refused.value.code == "stdio_not_allowed"
        with pytest.raises(Forbidden):
            await whose.change_server(who, server.server_id, name="new")
        with pytest.raises(Forbidden):
            await whose.change_server(who, http.server_id, transport=McpTransport.STDIO, command="run")
        reached, left_out = await whose.load_servers()(who, [server.server_id, http.server_id])
        assert [one.name for one in reached] == ["files"]
        assert [(one.name, one.reason) for one in left_out] == [("s", refused.value.message)]
    server = await desk.server(chief, transport=McpTransport.STDIO, url=None, command="run")
    allowed.connections.offers["run"] = TOOLS
    assert await allowed.ask()(chief, server.server_id) == TOOLS
    assert (await allowed.change_server(chief, server.server_id, name="new")).name == "new"


async def test_what_is_changed_or_removed_is_left_as_it_was_and_what_is_renamed_is_not(
    desk: ToolDesk, owner: UserId
) -> None:
    server = await desk.server(owner)
    renamed = await desk.change_server(owner, server.server_id, name="other")
    assert desk.connections.left == []
    moved = await desk.change_server(owner, server.server_id, url="https://elsewhere.example.org/mcp")
    assert desk.connections.left == [renamed]
    await desk.delete_server(owner, server.server_id)
    assert desk.connections.left == [renamed, moved]
