"""The tools of an agent, made ready for one answer: built-in ones, people's own, and those of MCP servers."""

import asyncio
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Final

from application.attachment_search import NAME as SEARCH_ATTACHMENT
from application.knowledge_search import NAME as SEARCH_KNOWLEDGE
from application.mcp_servers import LoadMcpServers
from application.mcp_tools import runners_of
from application.ports.api_documents import ApiDocuments
from application.ports.mcp_connections import McpConnections, McpTool, McpUnavailable
from application.ports.tool_runner import ToolOutput, ToolRunner
from application.tools import CallableTool, LoadTools
from domain.agents import Agent
from domain.errors import DomainError
from domain.ids import McpServerId, ToolId, UserId
from domain.mcp_servers import McpServer
from domain.messages import StepStatus, ToolStep
from domain.tool_names import unique_names
from domain.tools import JsonValue, ToolSpec, ToolType

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


@dataclass(frozen=True, slots=True)
class Toolbox:
    builtin: Mapping[ToolId, ToolRunner]
    load_tools: LoadTools
    documents: ApiDocuments
    load_servers: LoadMcpServers
    connections: McpConnections
    on_defect: Callable[[Exception], None]
    listing_seconds: float = LISTING_SECONDS

    async def __call__(self, user_id: UserId, agent: Agent, context_window: int) -> AtHand:
        """In the agent's order: built-in tools, its own, those of its servers; the first of them keep their names.

        As many of the first as the model takes, and as have room in a quarter of its window.
        """
        builtin = [self.builtin[tool_id] for tool_id in agent.tool_ids if tool_id in self.builtin]
        if len(builtin) == len(agent.tool_ids) and not agent.mcp_ids:
            return AtHand(tuple(builtin))
        try:
            own, (foreign, troubles) = await asyncio.gather(self._own(user_id, agent), self._foreign(user_id, agent))
        except DomainError as trouble:
            return AtHand(tuple(builtin), (_trouble("Tools", trouble.message, ToolType.TOOL),))
        runners = [*builtin, *own.runners, *foreign]
        offered = _within(runners, context_window // 4)
        left_out = (_too_many(len(runners), len(offered)),) if len(runners) > len(offered) else ()
        return AtHand(_named(offered), (*own.troubles, *troubles, *left_out))

    async def _own(self, user_id: UserId, agent: Agent) -> AtHand:
        """Reading a document takes a while, the first time."""
        runners: list[ToolRunner] = []
        troubles: list[ToolStep] = []
        for one in await self.load_tools(user_id, agent.tool_ids):
            try:
                runners += await asyncio.to_thread(self._operations, one)
            except DomainError as trouble:
                troubles.append(_trouble(one.tool.en_name, trouble.message, ToolType.TOOL))
        return AtHand(tuple(runners), tuple(troubles))

    def _operations(self, one: CallableTool) -> Sequence[ToolRunner]:
        document = one.tool.document
        if document is None or one.credentials is None:
            raise DomainError("tool_auth_lost", "its authentication is not set, or can't be read any more: set it.")
        return self.documents.runners(one.tool.tool_id, document.text, one.credentials)

    async def _foreign(self, user_id: UserId, agent: Agent) -> tuple[list[ToolRunner], list[ToolStep]]:
        servers, left_out = await self.load_servers(user_id, [McpServerId(one) for one in agent.mcp_ids])
        troubles = [_trouble(one.name, one.reason, ToolType.MCP) for one in left_out]
        runners: list[ToolRunner] = []
        for listed in await asyncio.gather(*map(self._listed, servers)):
            runners += listed.runners
            troubles += listed.troubles
        return runners, troubles

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
        return AtHand(troubles=(_trouble(server.name, reason, ToolType.MCP),))


@dataclass(frozen=True, slots=True)
class _Renamed:
    """A tool whose name another one had before it, or that no vendor would take."""

    tool: ToolRunner
    spec: ToolSpec

    async def run(self, arguments: Mapping[str, JsonValue]) -> ToolOutput:
        return await self.tool.run(arguments)


def _named(runners: Sequence[ToolRunner]) -> tuple[ToolRunner, ...]:
    specs = [runner.spec for runner in runners]
    names = unique_names((spec.name for spec in specs), taken=RESERVED)
    return tuple(
        runner if name == spec.name else _Renamed(runner, replace(spec, name=name))
        for runner, spec, name in zip(runners, specs, names, strict=True)
    )


def _trouble(name: str, reason: str, kind: ToolType) -> ToolStep:
    return ToolStep(StepStatus.ERROR, name, f"{name} can't be used in this answer: {reason}", "", "", kind)


def _within(runners: Sequence[ToolRunner], tokens: int) -> Sequence[ToolRunner]:
    spent = list(accumulate(runner.spec.tokens for runner in runners[:MOST_TOOLS]))
    return runners[: bisect_right(spent, tokens)]


def _left_out(name: str, tools: Sequence[McpTool]) -> ToolStep:
    told = "; ".join(f"{tool.name} ({tool.unusable})" for tool in tools[:TOLD])
    more = f"; and {len(tools) - TOLD} more" if len(tools) > TOLD else ""
    reason = f"Of the tools of {name} the model is not offered: {told}{more}."
    return ToolStep(StepStatus.ERROR, name, reason, "", "", ToolType.MCP)


def _too_many(count: int, offered: int) -> ToolStep:
    reason = f"of the {count} tools of this agent the model is offered the first {offered}: it takes no more."
    return ToolStep(StepStatus.ERROR, "Tools", reason, "", "", ToolType.TOOL)
