"""MCP servers: made, changed, shown and removed by their owner, and asked for their tools."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from application.paging import Page, Position, Window
from application.ports.clock import Clock
from application.ports.mcp_connections import McpConnections, McpTool, McpUnavailable
from application.ports.persistence import Transaction, Transactions
from application.ports.tools import StoredServer
from application.sealing import Seals
from domain.accounts.users import Role
from domain.errors import Conflict, Forbidden, UpstreamFailed
from domain.ids import McpServerId, UserId, new_id
from domain.tools.mcp_servers import SERVERS_MAX, McpDraft, McpServer, McpTransport


@dataclass(frozen=True, slots=True)
class StdioRule:
    """A stdio server is a program on this machine: an admin's to start, where the operator allows it."""

    allowed: bool

    async def check(self, tx: Transaction, owner: UserId, transport: McpTransport) -> None:
        """Raises Forbidden. Asks the database for nothing but stdio."""
        if transport is not McpTransport.STDIO:
            return
        if not self.allowed:
            raise Forbidden("stdio_not_allowed", "MCP servers of type stdio are off: the setting is mcp.allow_stdio.")
        if (await tx.users.caller(owner)).role is not Role.ADMIN:
            raise Forbidden("stdio_not_allowed", "MCP servers of type stdio are for admins: use streamable_http.")


async def make_room_for_servers(tx: Transaction, owner: UserId, servers: int) -> None:
    """Whoever calls it holds the account. Raises Conflict `too_many_mcp_servers`."""
    if await tx.mcp_servers.count(owner=owner) + servers > SERVERS_MAX:
        message = f"An account has at most {SERVERS_MAX} MCP servers: delete one first."
        raise Conflict("too_many_mcp_servers", message)


@dataclass(frozen=True, slots=True)
class CreateMcpServer:
    """Nobody waits for the server: what it offers is asked for when somebody wants to know."""

    transactions: Transactions
    seals: Seals
    stdio: StdioRule
    clock: Clock

    async def __call__(self, actor: UserId, draft: McpDraft) -> McpServer:
        """Raises InvalidValue, Forbidden `stdio_not_allowed`, Conflict `too_many_mcp_servers`."""
        server = McpServer.create(McpServerId(new_id()), actor, draft, self.clock.now())
        async with self.transactions.begin() as tx:
            await self.stdio.check(tx, actor, server.address.transport)
            await tx.users.locked(actor)
            await make_room_for_servers(tx, actor, 1)
            await tx.mcp_servers.add(self.seals.server(server))
        return server


@dataclass(frozen=True, slots=True)
class ChangeMcpServer:
    transactions: Transactions
    seals: Seals
    stdio: StdioRule
    connections: McpConnections
    clock: Clock

    async def __call__(self, actor: UserId, server_id: McpServerId, draft: McpDraft) -> McpServer:
        """Raises InvalidValue, NotFound, Forbidden `stdio_not_allowed`."""
        async with self.transactions.begin() as tx:
            stored = await tx.mcp_servers.get(server_id, owner=actor)
            before = self.seals.shown(stored)
            after = before.change(draft, self.clock.now())
            await self.stdio.check(tx, actor, after.address.transport)
            await tx.mcp_servers.save(self.seals.changed(stored, before, after))
        await self.connections.forget(server_id, None if after.address == before.address else before)
        return after


@dataclass(frozen=True, slots=True)
class DeleteMcpServer:
    """Agents lose it in the same moment."""

    transactions: Transactions
    seals: Seals
    connections: McpConnections
    clock: Clock

    async def __call__(self, actor: UserId, server_id: McpServerId) -> None:
        async with self.transactions.begin() as tx:
            before = self.seals.shown(await tx.mcp_servers.get(server_id, owner=actor))
            await tx.mcp_servers.remove(server_id, self.clock.now(), owner=actor)
        await self.connections.forget(server_id, before)


@dataclass(frozen=True, slots=True)
class ShowMcpServer:
    transactions: Transactions
    seals: Seals

    async def __call__(self, actor: UserId, server_id: McpServerId) -> McpServer:
        async with self.transactions.autocommit() as tx:
            return self.seals.shown(await tx.mcp_servers.get(server_id, owner=actor))


@dataclass(frozen=True, slots=True)
class ListMcpServers:
    transactions: Transactions
    seals: Seals

    async def __call__(self, actor: UserId, window: Window) -> Page[McpServer]:
        async with self.transactions.autocommit() as tx:
            rows = await tx.mcp_servers.list(window, owner=actor)
        servers = [self.seals.shown(one) for one in rows]
        return Page.cut(servers, window, lambda server: Position(server.created_at, server.server_id))


@dataclass(frozen=True, slots=True)
class AskForMcpTools:
    """Asks the server itself, and keeps what it said, or why it did not."""

    transactions: Transactions
    seals: Seals
    stdio: StdioRule
    connections: McpConnections

    async def __call__(self, actor: UserId, server_id: McpServerId) -> Sequence[McpTool]:
        """Raises UpstreamFailed `mcp_server_unavailable`, Conflict `secret_broken`, NotFound, Forbidden."""
        async with self.transactions.autocommit() as tx:
            stored = await tx.mcp_servers.get(server_id, owner=actor)
            await self.stdio.check(tx, actor, stored.transport)
        server = self.seals.opened(stored)
        try:
            listed = await self.connections.tools(server, fresh=True)
        except McpUnavailable as trouble:
            away = server.not_reached(str(trouble))
            await self._note(stored, away)
            raise UpstreamFailed(
                "mcp_server_unavailable", f"The MCP server {server.name!r} can't be used now: {away.status}"
            ) from trouble
        tools = [tool for tool in listed if not tool.unusable]
        await self._note(stored, server.seen([tool.name for tool in tools]))
        return tools

    async def _note(self, stored: StoredServer, seen: McpServer) -> None:
        if (seen.tools, seen.status) != (stored.tools, stored.status):
            async with self.transactions.autocommit() as tx:
                await tx.mcp_servers.note(stored.now_seen(seen.tools, seen.status))


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A server that can't be called, and why, in a sentence for its owner."""

    name: str
    reason: str
    server_id: McpServerId


@dataclass(frozen=True, slots=True)
class LoadMcpServers:
    """The servers of an agent, in the agent's order, with their secrets."""

    transactions: Transactions
    seals: Seals
    stdio: StdioRule

    async def __call__(
        self, owner: UserId, server_ids: Sequence[McpServerId]
    ) -> tuple[Sequence[McpServer], Sequence[LeftOut]]:
        """What is gone or somebody else's is in neither. One statement at most, two where one is of type stdio."""
        if not server_ids:
            return (), ()
        async with self.transactions.autocommit() as tx:
            found = {one.server_id: one for one in await tx.mcp_servers.these(server_ids, owner=owner)}
            forbidden = await self._forbidden(tx, owner, found.values())
        servers, left_out = [], []
        for stored in (found[one] for one in dict.fromkeys(server_ids) if one in found):
            try:
                if forbidden and stored.transport is McpTransport.STDIO:
                    raise forbidden
                servers.append(self.seals.opened(stored))
            except (Conflict, Forbidden) as refusal:
                left_out.append(LeftOut(stored.name, refusal.message, stored.server_id))
        return servers, left_out

    async def _forbidden(self, tx: Transaction, owner: UserId, servers: Iterable[StoredServer]) -> Forbidden | None:
        try:
            for transport in {one.transport for one in servers}:
                await self.stdio.check(tx, owner, transport)
        except Forbidden as refusal:
            return refusal
        return None
