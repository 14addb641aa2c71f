"""Tools: the built-in ones, and those that people bring."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TypeAlias, TypeVar

from application.paging import Page, Position, Window
from application.ports.api_documents import ApiDocuments
from application.ports.clock import Clock
from application.ports.persistence import Transaction, Transactions
from application.ports.secret_box import SecretBroken
from application.sealing import Seals
from domain.errors import Conflict, Forbidden, InvalidValue
from domain.ids import ToolId, UserId, new_id
from domain.tools.credentials import Credentials
from domain.tools.tools import ToolSpec
from domain.tools.user_tools import DOCUMENTS_MAX, SHOWN_MAX, TOOLS_MAX, ApiDocument, BuiltInTool, ToolDraft, UserTool

Tool: TypeAlias = BuiltInTool | UserTool
_T = TypeVar("_T", bound=Tool)


@dataclass(frozen=True, slots=True)
class BuiltInTools:
    """What every agent may carry."""

    tools: Mapping[ToolId, BuiltInTool]

    @classmethod
    def of(cls, specs: Sequence[ToolSpec]) -> "BuiltInTools":
        return cls({spec.tool_id: BuiltInTool(spec.tool_id, spec.title, spec.name, spec.description) for spec in specs})

    def refuse_change(self, tool_id: ToolId) -> None:
        if tool_id in self.tools:
            raise Forbidden("tool_built_in", "A built-in tool can't be changed or deleted.")

    def behind(self, window: Window) -> list[BuiltInTool]:
        after = window.after
        return [one for one in self.tools.values() if after is None or _key(one) < (after.created_at, after.identifier)]


@dataclass(frozen=True, slots=True)
class CreateTool:
    transactions: Transactions
    documents: ApiDocuments
    seals: Seals
    clock: Clock

    async def __call__(self, actor: UserId, draft: ToolDraft) -> UserTool:
        """Raises InvalidValue, and Conflict `too_many_tools`, `tools_too_large`."""
        tool = UserTool.create(ToolId(new_id()), actor, draft, self.clock.now())
        tool = _with_auth(tool, draft, self.seals)
        await _understand(tool, draft, self.documents)
        async with self.transactions.begin() as tx:
            await tx.users.locked(actor)
            await make_room_for_tools(tx, actor, 1, tool.size)
            await tx.tools.add(tool)
        return tool


@dataclass(frozen=True, slots=True)
class ChangeTool:
    transactions: Transactions
    documents: ApiDocuments
    seals: Seals
    clock: Clock
    built_in: BuiltInTools

    async def __call__(self, actor: UserId, tool_id: ToolId, draft: ToolDraft) -> UserTool:
        """Raises InvalidValue, also `auth_needed_again`, and Forbidden, NotFound, Conflict `tools_too_large`."""
        self.built_in.refuse_change(tool_id)
        async with self.transactions.autocommit() as tx:
            tool = await tx.tools.get(tool_id, owner=actor)
        # Before anything is held: a document takes its time.
        changed = tool.change(draft, self.clock.now())
        await _understand(changed, draft, self.documents)
        await _refuse_elsewhere(tool, changed, draft, self.documents)
        async with self.transactions.begin() as tx:
            if draft.document is not None:
                await tx.users.locked(actor)
            tool = await tx.tools.get(tool_id, owner=actor)
            changed = _with_auth(tool.change(draft, self.clock.now()), draft, self.seals)
            # Again: it may be another document's by now. What was read is remembered.
            await _refuse_elsewhere(tool, changed, draft, self.documents)
            if changed.size > tool.size:
                await make_room_for_tools(tx, actor, 0, changed.size - tool.size)
            await tx.tools.save(changed)
        return changed


@dataclass(frozen=True, slots=True)
class DeleteTool:
    """Agents lose it in the same moment."""

    transactions: Transactions
    clock: Clock
    built_in: BuiltInTools

    async def __call__(self, actor: UserId, tool_id: ToolId) -> None:
        self.built_in.refuse_change(tool_id)
        async with self.transactions.begin() as tx:
            await tx.tools.remove(tool_id, self.clock.now(), owner=actor)


@dataclass(frozen=True, slots=True)
class ShowTool:
    transactions: Transactions
    built_in: BuiltInTools

    async def __call__(self, actor: UserId, tool_id: ToolId) -> Tool:
        if tool_id in self.built_in.tools:
            return self.built_in.tools[tool_id]
        async with self.transactions.autocommit() as tx:
            return await tx.tools.get(tool_id, owner=actor)


@dataclass(frozen=True, slots=True)
class ListTools:
    """The caller's tools and the built-in ones, newest first."""

    transactions: Transactions
    built_in: BuiltInTools

    async def __call__(self, actor: UserId, window: Window) -> Page[Tool]:
        async with self.transactions.autocommit() as tx:
            own = await tx.tools.list(window, owner=actor)
        both: list[Tool] = sorted([*own, *self.built_in.behind(window)], key=_key, reverse=True)
        return _page(both, window)


@dataclass(frozen=True, slots=True)
class ListOwnTools:
    transactions: Transactions

    async def __call__(self, actor: UserId, window: Window) -> Page[UserTool]:
        async with self.transactions.autocommit() as tx:
            own = await tx.tools.list(window, owner=actor)
        return _page(own, window)


@dataclass(frozen=True, slots=True)
class CallableTool:
    """A tool with a document. `credentials` is None where they were sealed under a key that is lost."""

    tool: UserTool
    credentials: Credentials | None


@dataclass(frozen=True, slots=True)
class LoadTools:
    """The tools of an agent that a model can be offered, in the agent's order."""

    transactions: Transactions
    seals: Seals
    built_in: BuiltInTools

    def wanted(self, tool_ids: Sequence[ToolId]) -> Sequence[ToolId]:
        return [one for one in dict.fromkeys(tool_ids) if one not in self.built_in.tools]

    async def __call__(
        self, owner: UserId, tool_ids: Sequence[ToolId], characters: int
    ) -> tuple[Sequence[CallableTool], Sequence[str]]:
        """Those of the first whose documents have so many characters together, and the names of the others.

        Built-in tools are left out, and so is what is gone, somebody else's, or a name without a document. In one
        statement where all have room.
        """
        wanted = self.wanted(tool_ids)
        if not wanted:
            return (), ()
        async with self.transactions.autocommit() as tx:
            portion = await tx.tools.portion(wanted, characters, owner=owner)
        found = {one.tool_id: one for one in portion.tools if one.is_executable}
        return [
            CallableTool(found[one], self._credentials(found[one])) for one in wanted if one in found
        ], portion.beyond

    def _credentials(self, tool: UserTool) -> Credentials | None:
        try:
            return self.seals.credentials(tool.auth)
        except SecretBroken:
            return None


async def _understand(tool: UserTool, draft: ToolDraft, documents: ApiDocuments) -> None:
    """In a thread: a long document takes a quarter of a second, and others wait for their frames."""
    if draft.document is not None and tool.document is not None:
        await asyncio.to_thread(documents.read, tool.document.text)


async def _refuse_elsewhere(before: UserTool, after: UserTool, draft: ToolDraft, documents: ApiDocuments) -> None:
    """What a tool proves itself with was given for one server: for another one it must be said again."""
    keeps = before.auth is not None and draft.auth is None and not draft.no_auth
    if not keeps or after.document is None or after.document == before.document:
        return
    now, new = [await asyncio.to_thread(_origin, one.document, documents) for one in (before, after)]
    if now != new:
        raise InvalidValue(
            "auth_config",
            "is stored for another server than this openapi_schema names: send it again, or null to remove it",
            code="auth_needed_again",
        )


def _origin(document: ApiDocument | None, documents: ApiDocuments) -> str | None:
    """None also for a document that was understood once, and is no more."""
    try:
        return None if document is None else documents.read(document.text).origin
    except InvalidValue:
        return None


def _with_auth(tool: UserTool, draft: ToolDraft, seals: Seals) -> UserTool:
    if draft.no_auth:
        return tool.with_auth(None)
    return tool if draft.auth is None else tool.with_auth(seals.auth(draft.auth))


async def make_room_for_tools(tx: Transaction, owner: UserId, tools: int, characters: int) -> None:
    """Whoever calls it holds the account. Raises Conflict `too_many_tools`, `tools_too_large`."""
    stock = await tx.tools.stock(owner=owner)
    if stock.tools + tools > TOOLS_MAX:
        raise Conflict("too_many_tools", f"An account has at most {TOOLS_MAX} tools: delete one first.")
    if stock.characters + characters > DOCUMENTS_MAX:
        raise Conflict(
            "tools_too_large",
            f"The documents of an account's tools have at most {DOCUMENTS_MAX:,} characters together: shorten or "
            "delete one first.",
        )


def _page(tools: Sequence[_T], window: Window) -> Page[_T]:
    """Shorter where the documents are long: whoever reads on gets them all, and nobody's request holds them all."""
    sizes = accumulate(tool.size if isinstance(tool, UserTool) else 0 for tool in tools)
    room = sum(size <= SHOWN_MAX for size in sizes)
    return Page.cut(tools, window if room == len(tools) else window.at_most(room), _position)


def _key(tool: Tool) -> tuple[object, ...]:
    return tool.created_at, tool.tool_id


def _position(tool: Tool) -> Position:
    return Position(tool.created_at, tool.tool_id)
