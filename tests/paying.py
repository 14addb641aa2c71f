"""Agents that must ask before they pay, and the processes that wait for a person's word.

Two desks on one database are two processes: neither knows what the other holds in memory.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import cast

from adapters.database.transactions import DatabaseTransactions
from adapters.scripted import ScriptedChatModel, Step, call, delta, finished
from application.chat.chat import ChatRequest
from application.ports.tool_runner import ToolOutput, ToolRunner
from application.runs.live_runs import LiveRun
from application.runs.run_registry import RunRegistry
from chat_desk import ChatDesk
from domain.agents.agents import Agent
from domain.chat.chat_events import Recorded, ToolProgress
from domain.dialogs.messages import StepStatus
from domain.ids import AgentId, RunId, ToolId, UserId, new_id
from domain.runs.pauses import Approval
from domain.runs.runs import RunStatus
from domain.tools.tools import JsonValue, ToolSpec
from domain.usage.quotas import Quota
from meddled import Meddled

SPEND = ToolSpec(
    ToolId("spend"), "spend", "Spend", "Spends money.", {"type": "object", "required": ["amount"], "properties": {}}
)
LOOK = ToolSpec(ToolId("look"), "look", "Look", "Looks.", {"type": "object", "properties": {}})
ASKS = [delta("Let me pay. "), call("spend", call_id="c1", amount=5), finished()]
DONE = [delta("Paid."), finished()]


@dataclass
class Till:
    """A tool that remembers what it was asked for."""

    spec: ToolSpec
    asked: list[Mapping[str, JsonValue]] = field(default_factory=list)

    async def run(self, arguments: Mapping[str, JsonValue]) -> ToolOutput:
        self.asked.append(arguments)
        return ToolOutput(f"spent {arguments.get('amount')}")


@dataclass
class Scene:
    """Processes with one till, and a person with an agent that must ask before it spends."""

    transactions: DatabaseTransactions
    till: Till = field(default_factory=lambda: Till(SPEND))
    look: Till = field(default_factory=lambda: Till(LOOK))
    desks: list[ChatDesk] = field(default_factory=list)
    going_on: list[asyncio.Task[None]] = field(default_factory=list)

    def process(
        self,
        *turns: Sequence[Step],
        most: int = 20,
        database: Meddled | None = None,
        tills: Sequence[Till] = (),
        look_seconds: float = 0.2,
        quota: Quota = Quota(),
    ) -> ChatDesk:
        model = ScriptedChatModel(turns=turns)
        tools: dict[ToolId, ToolRunner] = {one.spec.tool_id: one for one in tills or (self.till, self.look)}
        reached = cast("DatabaseTransactions", database or self.transactions)
        desk = ChatDesk(reached, model, RunRegistry(100, most), tools=tools, look_seconds=look_seconds, quota=quota)
        self.going_on.append(asyncio.create_task(desk.writer.forever()))
        self.desks.append(desk)
        return desk

    async def person(self) -> tuple[UserId, AgentId]:
        actor = await self.desks[0].person()
        now = datetime(2026, 1, 1, tzinfo=UTC)
        tool_ids = (SPEND.tool_id, LOOK.tool_id)
        made = Agent(AgentId(new_id()), actor, "Payer", now, now, tool_ids=tool_ids, require_approval=(SPEND.tool_id,))
        async with self.transactions.begin() as tx:
            await tx.agents.add(made)
        return actor, made.agent_id


@asynccontextmanager
async def paying(transactions: DatabaseTransactions) -> AsyncIterator[Scene]:
    made = Scene(transactions)
    yield made
    for task in made.going_on:
        task.cancel()
    await asyncio.wait(made.going_on)
    assert [desk.crashes for desk in made.desks if desk.crashes] == []


@asynccontextmanager
async def soon(seconds: float = 10) -> AsyncIterator[None]:
    async with asyncio.timeout(seconds):
        yield


async def asked(desk: ChatDesk, actor: UserId, agent_id: AgentId, dialog: str = "d") -> LiveRun:
    """A run that has come to wait."""
    run = await desk.start(actor, ChatRequest("Pay the bill", dialog, agent_id))
    await run.wait(10)
    assert (await desk.show(actor, run.state.run_id)).status is RunStatus.WAITING
    return run


def yes(call_id: str = "c1", **changed: JsonValue) -> Approval:
    return Approval(call_id, approved=True, arguments=json.dumps(changed) if changed else None)


def no(call_id: str = "c1") -> Approval:
    return Approval(call_id, approved=False)


def call_of(turn: int) -> str:
    """The id that the call of ASKS has in the run's turn of that number: the model repeats itself."""
    return f"c1_{turn + 1}" if turn else "c1"


def steps(seen: Sequence[Recorded]) -> list[tuple[StepStatus, str]]:
    return [(one.event.step.status, one.event.step.tool_call_id) for one in seen if isinstance(one.event, ToolProgress)]


async def ended(desk: ChatDesk, actor: UserId, run_id: RunId) -> list[Recorded]:
    """The whole of a run, once it has its end."""
    async with soon():
        return await desk.resumed(actor, run_id)
