"""Tools and MCP servers of a document, for a person: what they have serves again, what they lack is made."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from application.agents.agent_export import tool_entry
from application.paging import Window
from application.ports.api_documents import ApiDocuments
from application.ports.persistence import Transaction
from application.sealing import Seals
from application.tools.mcp_servers import StdioRule, make_room_for_servers
from application.tools.tools import BuiltInTools, make_room_for_tools
from domain.agents.agent_files import Missing, Need, Part, ServerEntry, ToolEntry, paired
from domain.errors import Forbidden, InvalidValue
from domain.ids import McpServerId, ToolId, UserId, new_id
from domain.text import line
from domain.tools.mcp_servers import NAME_MAX, McpDraft, McpServer, McpTransport
from domain.tools.user_tools import SealedAuth, ToolDraft, UserTool

NO_PROGRAM: Final = "A document names no program of another machine: register a server of this name and type first."
NO_ADDRESS: Final = "The document does not say its address."
NOT_BUILT_IN: Final = "This server has no built-in tool of that name."


@dataclass(slots=True)
class Gathered:
    """What became of the document so far. `waiting` are the ids whose calls wait for a person."""

    created: list[Part] = field(default_factory=list)
    reused: list[Part] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)
    needs: list[Need] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class WantedTool:
    """`made` is the tool that is added where none is alike; None for a built-in one."""

    entry: ToolEntry
    made: UserTool | None


@dataclass(frozen=True, slots=True)
class ImportTools:
    documents: ApiDocuments
    seals: Seals
    built_in: BuiltInTools

    async def read(self, owner: UserId, entries: Sequence[ToolEntry], now: datetime) -> list[WantedTool]:
        """Every rule for a single tool applied, before anything is held. Raises InvalidValue that names the place."""
        wanted: list[WantedTool] = []
        for number, entry in enumerate(entries):
            with within(f"tools[{number}]"):
                wanted.append(await self._read(owner, entry, now))
        return wanted

    async def _read(self, owner: UserId, entry: ToolEntry, now: datetime) -> WantedTool:
        name = line("name", entry.name, minimum=1, maximum=NAME_MAX)
        line("display_name", entry.display_name, maximum=NAME_MAX)
        if entry.built_in:
            return WantedTool(replace(entry, name=name), None)
        draft = ToolDraft(entry.display_name or None, entry.name, entry.description, entry.logo_url, entry.document)
        made = UserTool.create(ToolId(new_id()), owner, draft, now)
        if made.document is not None:
            await asyncio.to_thread(self.documents.read, made.document.text)
        # Of this type, and with nothing in it: until its owner sends what is missing no model is offered the tool.
        made = made.with_auth(None if entry.auth_type is None else SealedAuth(entry.auth_type, ""))
        return WantedTool(tool_entry(made, waits=entry.require_approval), made)

    async def into(self, tx: Transaction, owner: UserId, wanted: Sequence[WantedTool], out: Gathered) -> list[ToolId]:
        """The ids for the agent, in the document's order."""
        found = iter(await self._there(tx, owner, [one.entry for one in wanted if one.made]))
        chosen: list[tuple[ToolId, ToolEntry]] = []
        new: list[UserTool] = []
        for one in wanted:
            if one.made is None:
                if ToolId(one.entry.name) in self.built_in.tools:
                    chosen.append((ToolId(one.entry.name), one.entry))
                else:
                    out.missing.append(Missing("tool", one.entry.name, NOT_BUILT_IN))
                continue
            tool = next(found) or one.made
            part = Part("tool", tool.tool_id, tool.en_name)
            new += [tool] if tool is one.made else []
            (out.created if tool is one.made else out.reused).append(part)
            if one.entry.auth_type and not (tool.auth and tool.auth.sealed):
                out.needs.append(Need(part, f"auth_config of the type {one.entry.auth_type.value}"))
            chosen.append((tool.tool_id, one.entry))
        await self._add(tx, owner, new)
        out.waiting += [tool_id for tool_id, entry in chosen if entry.require_approval]
        return [tool_id for tool_id, _ in chosen]

    async def _there(self, tx: Transaction, owner: UserId, entries: list[ToolEntry]) -> list[UserTool | None]:
        if not entries:
            return []
        named = await tx.tools.named([*dict.fromkeys(one.name for one in entries)], owner=owner)
        held = await tx.tools.held([one.tool_id for one in named], owner=owner) if named else frozenset()
        there = [(tool_entry(one, waits=False), one) for one in named if one.tool_id in held]
        return paired(entries, there)

    async def _add(self, tx: Transaction, owner: UserId, new: Sequence[UserTool]) -> None:
        if new:
            await make_room_for_tools(tx, owner, len(new), sum(one.size for one in new))
        for one in new:
            await tx.tools.add(one)


@dataclass(frozen=True, slots=True)
class WantedServer:
    """`made` is the server that is added where none is alike; None where `lack` says why none can be."""

    entry: ServerEntry
    made: McpServer | None
    lack: str = ""


@dataclass(frozen=True, slots=True)
class ImportServers:
    seals: Seals
    stdio: StdioRule

    def read(self, owner: UserId, entries: Sequence[ServerEntry], now: datetime) -> list[WantedServer]:
        """Every rule for a single server applied. Raises InvalidValue that names the place."""
        wanted: list[WantedServer] = []
        for number, entry in enumerate(entries):
            with within(f"mcp_servers[{number}]"):
                wanted.append(self._read(owner, entry, now))
        return wanted

    def _read(self, owner: UserId, entry: ServerEntry, now: datetime) -> WantedServer:
        name = line("name", entry.name, minimum=1, maximum=NAME_MAX)
        if entry.transport is McpTransport.STDIO:
            return WantedServer(replace(entry, name=name, url="", headers=()), None, NO_PROGRAM)
        if not entry.url:
            return WantedServer(replace(entry, name=name), None, NO_ADDRESS)
        draft = McpDraft(name, entry.description, entry.transport, entry.url)
        made = McpServer.create(McpServerId(new_id()), owner, draft, now)
        made = replace(made, address=made.address.awaiting(entry.headers))
        return WantedServer(ServerEntry.of(made, waits=entry.require_approval), made)

    async def into(self, tx: Transaction, owner: UserId, wanted: Sequence[WantedServer], out: Gathered) -> list[str]:
        """The ids for the agent, in the document's order."""
        chosen: list[str] = []
        new: list[McpServer] = []
        for one, found in zip(wanted, await self._there(tx, owner, wanted), strict=True):
            server = found or one.made
            lack = one.lack if server is None else await self._refusal(tx, owner, one.entry.transport)
            if server is None or lack:
                out.missing.append(Missing("mcp_server", one.entry.name, lack))
                continue
            part = Part("mcp_server", server.server_id, server.name)
            (out.reused if found else out.created).append(part)
            new += [] if found else [server]
            out.needs += [Need(part, what) for what in _needs(server, one.entry)]
            out.waiting += [server.server_id] if one.entry.require_approval else []
            chosen.append(server.server_id)
        if new:
            await make_room_for_servers(tx, owner, len(new))
        for one_new in new:
            await tx.mcp_servers.add(self.seals.server(one_new))
        return chosen

    async def _there(self, tx: Transaction, owner: UserId, wanted: Sequence[WantedServer]) -> list[McpServer | None]:
        if not wanted:
            return []
        listed = [self.seals.shown(one) for one in reversed(await tx.mcp_servers.list(Window(), owner=owner))]
        held = await tx.mcp_servers.held([one.server_id for one in listed], owner=owner) if listed else frozenset()
        there = [(ServerEntry.of(one, waits=False), one) for one in listed if one.server_id in held]
        return paired([one.entry for one in wanted], there)

    async def _refusal(self, tx: Transaction, owner: UserId, transport: McpTransport) -> str:
        try:
            await self.stdio.check(tx, owner, transport)
        except Forbidden as refusal:
            return refusal.message
        return ""


def _needs(server: McpServer, entry: ServerEntry) -> Iterator[str]:
    if names := server.address.awaited:
        yield f"the values of its headers: {', '.join(names)}"
    if server.address.url == entry.url and not entry.is_whole:
        yield "its url, of which the document leaves a part out"


@contextmanager
def within(place: str) -> Iterator[None]:
    """A rule is broken in this place of the document."""
    try:
        yield
    except InvalidValue as broken:
        problem = broken.fields[0]
        raise InvalidValue(f"{place}.{problem.name}", problem.message, code=broken.code) from broken
