"""What other programs may do with a person's agents, in that person's name: find, search, and ask them."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final

from application.chat.ask_once import AskOnce
from application.chat.chat import ChatRequest
from application.knowledge.retrieval import Retrieval, RetrieveKnowledge
from application.ports.persistence import Transactions
from application.programs.named_agents import agent_of_id, agent_of_name
from application.runs.run_control import ShowRun, StopRun
from application.runs.run_readers import Followed
from application.tools.asking_depth import DEEPEST, asking_depth
from domain.agents.agents import Agent
from domain.chat.chat_events import AnswerDelta, Recorded, RunFailed, RunFinished, ToolProgress
from domain.dialogs.messages import StepStatus, ToolStep
from domain.errors import Conflict, InvalidValue, NotFound
from domain.ids import UserId
from domain.runs.runs import Run, RunStatus
from domain.text import storable

LOOK_SECONDS: Final = 1.0
"""How often one looks whether a run waits for a person that said that it will."""
CANCEL_LOOKS: Final = (0.1, 0.3, 0.6)
"""Seconds between looks for a run that is to be stopped: its question may be on its way at another process."""


@dataclass(frozen=True, slots=True)
class FindAgent:
    """By its id, else by its exact name."""

    transactions: Transactions

    async def __call__(self, actor: UserId, named: str) -> Agent:
        """Raises NotFound."""
        storable("agent", named)
        async with self.transactions.autocommit() as tx:
            found = await agent_of_id(tx, actor, named) or await agent_of_name(tx, actor, named.strip())
        if found is None:
            raise NotFound("agent", named)
        return found


@dataclass(frozen=True, slots=True)
class SearchAgentKnowledge:
    find: FindAgent
    retrieve: RetrieveKnowledge

    async def __call__(self, actor: UserId, named: str, query: str, top_k: int) -> Retrieval:
        """Of bases that are gone, and of an agent that has none, nothing. Raises as FindAgent and RetrieveKnowledge."""
        if not query.strip():
            raise InvalidValue("query", "must not be empty")
        agent = await self.find(actor, named)
        bases = await self.retrieve.bases(actor, agent.knowledge_ids) if agent.knowledge_ids else ()
        return await self.retrieve.within(actor, query, bases, top_k) if bases else Retrieval(())


@dataclass(frozen=True, slots=True)
class AskAgent:
    """A run like every other, in a dialog of the caller's."""

    find: FindAgent
    ask: AskOnce

    async def __call__(
        self, actor: UserId, named: str, question: str, dialog_id: str, *, key: str | None, depth: int
    ) -> Followed:
        """Under one key the question is asked once. Raises what refuses a question, and Conflict `asked_too_deep`."""
        if depth >= DEEPEST:
            message = f"Agents asked agents {depth} times, one through the other: at most {DEEPEST} times are allowed."
            raise Conflict("asked_too_deep", message)
        if not question.strip():
            raise InvalidValue("question", "must not be empty")
        agent = await self.find(actor, named)
        before = asking_depth.set(depth + 1)
        try:
            return await self.ask(actor, ChatRequest(question, dialog_id, agent.agent_id), key)
        finally:
            asking_depth.reset(before)


@dataclass(frozen=True, slots=True)
class Reply:
    """How a question ended: `finished`, or the run waits for a person's word on the calls of `waiting`."""

    run: Run
    finished: RunFinished | None = None
    failure: RunFailed | None = None
    waiting: tuple[ToolStep, ...] = ()


@dataclass(frozen=True, slots=True)
class AwaitReply:
    """Follows a run up to its end, or until it waits for a person. Nobody else needs to read it meanwhile."""

    show: ShowRun

    async def __call__(self, actor: UserId, run: Followed, tell: Callable[[str], None]) -> Reply:
        """`tell` is given a sentence for a person whenever there is something new."""
        heard = _Heard()
        reader = run.attach(0, LOOK_SECONDS)
        try:
            async with aclosing(reader.batches()) as batches:
                async for batch in batches:
                    heard.take(batch)
                    if batch:
                        tell(heard.sentence())
                    if heard.finished is not None:
                        break
                    # Left before the run is stored as waiting, it would count as one that nobody reads.
                    if heard.waiting and await self._waits(actor, run):
                        return Reply(run.state, waiting=tuple(heard.waiting.values()))
        finally:
            run.detach(reader)
        return Reply(run.state, heard.finished, heard.failure)

    async def _waits(self, actor: UserId, run: Followed) -> bool:
        return (await self.show(actor, run.state.run_id)).status is RunStatus.WAITING


@dataclass(slots=True)
class _Heard:
    """What of a run's events matters to whoever waits for the answer alone."""

    characters: int = 0
    last_step: str = ""
    finished: RunFinished | None = None
    failure: RunFailed | None = None
    waiting: dict[str, ToolStep] = field(default_factory=dict)

    def take(self, batch: Sequence[Recorded]) -> None:
        for one in batch:
            match one.event:
                case AnswerDelta(text):
                    self.characters += len(text)
                case ToolProgress(step) if step.status is StepStatus.APPROVAL:
                    self.waiting[step.tool_call_id] = step
                case ToolProgress(step):
                    self.last_step = step.title
                    self.waiting.pop(step.tool_call_id, None)
                case RunFailed():
                    self.failure = one.event
                case RunFinished():
                    self.finished = one.event
                case _:
                    pass

    def sentence(self) -> str:
        said = f"{self.characters} characters"
        return f"{self.last_step}; {said}" if self.last_step else said


@dataclass(frozen=True, slots=True)
class CancelAsked:
    """Stops what was asked under a key, wherever it is made. What is not there, or has ended, is left alone."""

    transactions: Transactions
    stop: StopRun

    async def __call__(self, actor: UserId, key: str) -> None:
        for pause in (*CANCEL_LOOKS, None):
            async with self.transactions.autocommit() as tx:
                run = await tx.runs.by_key(key, owner=actor)
            if run is not None:
                if run.is_open:
                    await self.stop(actor, run_id=run.run_id, dialog_id=None)
                return
            if pause is not None:
                await asyncio.sleep(pause)
