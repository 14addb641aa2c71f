"""The tools of an agent, made ready for one answer: built-in ones, people's own, and those of MCP servers."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from application.chat.attachment_search import NAME as SEARCH_ATTACHMENT
from application.chat.knowledge_search import NAME as SEARCH_KNOWLEDGE
from application.chat.offered_again import Renamed, under_offered_names
from application.ports.mcp_connections import McpConnections, McpTool, McpUnavailable
from application.ports.tool_runner import ToolRunner
from application.tools.mcp_servers import LoadMcpServers
from application.tools.mcp_tools import runners_of
from application.tools.own_tools import OpenOwnTools, OwnRunners, Room, fitting
from domain.agents.agents import Agent
from domain.dialogs.messages import StepStatus, ToolStep
from domain.errors import DomainError
from domain.ids import McpServerId, ToolId, UserId
from domain.tools.mcp_servers import McpServer
from domain.tools.tool_names import unique_names
from domain.tools.tools import ToolSpec, ToolType

MOST_TOOLS: Final = 126
"""Vendors take 128 in one request: two places are for the searches, which come later."""
LISTING_SECONDS: Final = 10.0
"""That an answer waits for the tools of servers, of all of them together."""
TOLD: Final = 5
"""Of the tools of a server that are left out, so many are named."""
RESERVED: Final = frozenset({SEARCH_ATTACHMENT, SEARCH_KNOWLEDGE})
"""They come with a question's documents and an agent's knowledge."""


@dataclass(frozen=True, slots=True)
class AtHand:
    """`troubles` are shown to the person: what can't be used now costs its tools, never the answer."""

    runners: tuple[ToolRunner, ...] = ()
    troubles: tuple[ToolStep, ...] = ()
    away: Mapping[ToolId, str] = field(default_factory=dict)
    """Why the tools of this id are not among the runners. Those of an MCP server have the server's."""


@dataclass(frozen=True, slots=True)
class Toolbox:
    builtin: Mapping[ToolId, ToolRunner]
    own: OpenOwnTools
    load_servers: LoadMcpServers
    connections: McpConnections
    on_defect: Callable[[Exception], None]
    listing_seconds: float = LISTING_SECONDS

    async def __call__(self, user_id: UserId, agent: Agent, context_window: int) -> AtHand:
        """In the agent's order: built-in tools, its own, those of its servers; the first of them keep their names.

        As many of the first as the model takes, and as have room in a quarter of its window.
        """
        builtin = self._builtin(agent)
        if len(builtin) == len(agent.tool_ids) and not agent.mcp_ids:
            return AtHand(tuple(builtin))
        room = Room(MOST_TOOLS, context_window // 4)
        left = Room(room.tools - len(builtin), room.tokens - sum(runner.spec.tokens for runner in builtin))
        own, foreign = await self._others(user_id, agent, left)
        runners = [*builtin, *own.runners, *foreign.runners]
        offered = fitting(runners, room)
        left_out = (_too_many(len(offered)),) if own.more or len(runners) > len(offered) else ()
        return replace(_together(own, foreign, left_out), runners=_named(offered))

    async def again(self, user_id: UserId, agent: Agent, offered: Sequence[ToolSpec]) -> AtHand:
        """The tools that a model was offered before, as far as they are there now, under the names that it knows."""
        ids = {spec.tool_id for spec in offered}
        tool_ids = tuple(one for one in agent.tool_ids if one in ids)
        mcp_ids = tuple(one for one in agent.mcp_ids if one in ids)
        own, foreign = await self._others(user_id, replace(agent, tool_ids=tool_ids, mcp_ids=mcp_ids))
        there = [*self._builtin(agent), *own.runners, *foreign.runners]
        return replace(_together(own, foreign), runners=under_offered_names(there, offered))

    def _builtin(self, agent: Agent) -> list[ToolRunner]:
        return [self.builtin[tool_id] for tool_id in agent.tool_ids if tool_id in self.builtin]

    async def _others(self, user_id: UserId, agent: Agent, room: Room | None = None) -> tuple[OwnRunners, AtHand]:
        try:
            return await asyncio.gather(self.own(user_id, agent.tool_ids, room), self._foreign(user_id, agent))
        except DomainError as trouble:
            away = dict.fromkeys((*agent.tool_ids, *map(ToolId, agent.mcp_ids)), trouble.message)
            return OwnRunners(), AtHand((), (_trouble("Tools", trouble.message, ToolType.TOOL),), away)

    async def _foreign(self, user_id: UserId, agent: Agent) -> AtHand:
        servers, left_out = await self.load_servers(user_id, [McpServerId(one) for one in agent.mcp_ids])
        listed = await asyncio.gather(*map(self._listed, servers))
        closed = [_away(one.server_id, one.name, one.reason) for one in left_out]
        return AtHand(
            tuple(runner for one in listed for runner in one.runners),
            tuple(trouble for one in (*closed, *listed) for trouble in one.troubles),
            dict(entry for one in (*closed, *listed) for entry in one.away.items()),
        )

    async def _listed(self, server: McpServer) -> AtHand:
        try:
            async with asyncio.timeout(self.listing_seconds):
                tools = await self.connections.tools(server)
            unusable = [tool for tool in tools if tool.unusable]
            return AtHand(
                tuple(runners_of(self.connections, server, tools)),
                (_left_out(server.name, unusable),) if unusable else (),
            )
        except McpUnavailable as trouble:
            reason = str(trouble)
        except TimeoutError:
            reason = f"no list of tools within {self.listing_seconds:g} seconds."
        except Exception as defect:  # noqa: BLE001 - one server, whatever it says, does not cost the answer
            self.on_defect(defect)
            reason = "its list of tools could not be understood."
        return _away(server.server_id, server.name, reason)


def _named(runners: Sequence[ToolRunner]) -> tuple[ToolRunner, ...]:
    specs = [runner.spec for runner in runners]
    names = unique_names((spec.name for spec in specs), taken=RESERVED)
    return tuple(
        runner if name == spec.name else Renamed(runner, replace(spec, name=name))
        for runner, spec, name in zip(runners, specs, names, strict=True)
    )


def _trouble(name: str, reason: str, kind: ToolType) -> ToolStep:
    return ToolStep(StepStatus.ERROR, name, f"{name} can't be used in this answer: {reason}", "", "", kind)


def _away(server_id: McpServerId, name: str, reason: str) -> AtHand:
    trouble = _trouble(name, reason, ToolType.MCP)
    return AtHand((), (trouble,), {ToolId(server_id): trouble.message})


def _together(own: OwnRunners, foreign: AtHand, left_out: tuple[ToolStep, ...] = ()) -> AtHand:
    troubles = [_trouble(one.name, one.reason, ToolType.TOOL) for one in own.troubles]
    away = {one.tool_id: trouble.message for one, trouble in zip(own.troubles, troubles, strict=True) if one.tool_id}
    return AtHand((), (*troubles, *foreign.troubles, *left_out), {**away, **foreign.away})


def _left_out(name: str, tools: Sequence[McpTool]) -> ToolStep:
    told = "; ".join(f"{tool.name} ({tool.unusable})" for tool in tools[:TOLD])
    more = f"; and {len(tools) - TOLD} more" if len(tools) > TOLD else ""
    reason = f"Of the tools of {name} the model is not offered: {told}{more}."
    return ToolStep(StepStatus.ERROR, name, reason, "", "", ToolType.MCP)


def _too_many(offered: int) -> ToolStep:
    reason = f"of the tools of this agent the model is offered the first {offered}: it takes no more."
    return ToolStep(StepStatus.ERROR, "Tools", reason, "", "", ToolType.TOOL)
