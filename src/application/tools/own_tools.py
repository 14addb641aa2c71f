"""A person's own tools, read for one answer: as many of their documents as a model can be offered functions of."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final
from weakref import WeakValueDictionary

from application.ports.api_documents import ApiDocuments
from application.ports.tool_runner import ToolRunner
from application.tools.tools import CallableTool, LoadTools
from domain.errors import DomainError
from domain.ids import ToolId, UserId

MOST_CHARACTERS: Final = 2_000_000
"""Of the documents of one agent: more are not read for an answer."""
TOLD: Final = 5
"""Of the tools that are left out, so many are named."""


@dataclass(frozen=True, slots=True)
class Room:
    """What a model can still be offered."""

    tools: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a tool can't be used now. Without `tool_id` it is about several of them."""

    name: str
    reason: str
    tool_id: ToolId | None = None


@dataclass(frozen=True, slots=True)
class OwnRunners:
    """`more`: others were not looked at, because there is no room for them."""

    runners: Sequence[ToolRunner] = ()
    troubles: Sequence[Trouble] = ()
    more: bool = False


@dataclass(frozen=True, slots=True)
class OpenOwnTools:
    """One answer of a person after the other: their documents don't keep the threads from everybody else's work."""

    load: LoadTools
    documents: ApiDocuments
    _turns: WeakValueDictionary[UserId, asyncio.Lock] = field(default_factory=WeakValueDictionary)

    async def __call__(self, owner: UserId, tool_ids: Sequence[ToolId], room: Room | None = None) -> OwnRunners:
        """In the order of the ids. Nothing is read any more when `room` is full. Raises Unavailable."""
        if not self.load.wanted(tool_ids):
            return OwnRunners()
        async with self._turns.setdefault(owner, asyncio.Lock()):
            tools, beyond = await self.load(owner, tool_ids, MOST_CHARACTERS)
            found = await self._read(tools, room)
        if beyond and not found.more:
            return OwnRunners(found.runners, (*found.troubles, _too_long(beyond)))
        return found

    async def _read(self, tools: Sequence[CallableTool], room: Room | None) -> OwnRunners:
        runners: list[ToolRunner] = []
        troubles: list[Trouble] = []
        for at, one in enumerate(tools):
            try:
                # Reading a document takes a while, the first time; weighing long schemas too.
                runners += await asyncio.to_thread(self._operations, one)
                full = room is not None and await asyncio.to_thread(_is_full, room, runners)
            except DomainError as trouble:
                troubles.append(Trouble(one.tool.en_name, trouble.message, one.tool.tool_id))
                continue
            if full:
                return OwnRunners(runners, troubles, more=at + 1 < len(tools))
        return OwnRunners(runners, troubles)

    def _operations(self, one: CallableTool) -> Sequence[ToolRunner]:
        document = one.tool.document
        if document is None or one.credentials is None:
            raise DomainError("tool_auth_lost", "its authentication is not set, or can't be read any more: set it.")
        return self.documents.runners(one.tool.tool_id, document.text, one.credentials)


def _is_full(room: Room, runners: Sequence[ToolRunner]) -> bool:
    return len(fitting(runners, room)) < len(runners) or len(runners) >= room.tools


def fitting(runners: Sequence[ToolRunner], room: Room) -> Sequence[ToolRunner]:
    """The first of them that there is room for; those behind are not weighed."""
    first = runners[: max(0, room.tools)]
    for at, spent in enumerate(accumulate(runner.spec.tokens for runner in first)):
        if spent > room.tokens:
            return first[:at]
    return first


def _too_long(beyond: Sequence[str]) -> Trouble:
    told = ", ".join(beyond[:TOLD]) + (f", and {len(beyond) - TOLD} more" if len(beyond) > TOLD else "")
    reason = f"the documents of an agent's tools may have {MOST_CHARACTERS:,} characters together. Left out: {told}."
    return Trouble("Tools", reason)
