"""The tools of an agent, made ready for one answer."""

from collections.abc import Mapping
from dataclasses import dataclass

from application.ports.tool_runner import ToolRunner
from domain.agents import Agent
from domain.ids import ToolId, UserId
from domain.messages import ToolStep


@dataclass(frozen=True, slots=True)
class AtHand:
    """`troubles` are shown to the person: what can't be used now costs its tools, never the answer."""

    runners: tuple[ToolRunner, ...] = ()
    troubles: tuple[ToolStep, ...] = ()


@dataclass(frozen=True, slots=True)
class Toolbox:
    builtin: Mapping[ToolId, ToolRunner]

    async def __call__(self, _user_id: UserId, agent: Agent) -> AtHand:
        return AtHand(tuple(self.builtin[tool_id] for tool_id in agent.tool_ids if tool_id in self.builtin))
