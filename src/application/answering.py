"""What a run does: it searches the agent's knowledge, makes the prompt, and lets the agent loop answer."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial

from application.agent_loop import AgentLoop
from application.attachments import Attached, OpenAttachments
from application.knowledge_search import Consulted, SearchKnowledge, ShownPassages, consult
from application.model_places import ModelPlaces
from application.ports.chat_model import ChatModels
from application.ports.tool_runner import ToolRunner
from application.prompts import Prompt, compose
from application.retrieval import RetrieveKnowledge
from domain.agents import Agent
from domain.chat_events import LoopEvent
from domain.conversation import request_tokens
from domain.ids import ToolId, UserId
from domain.messages import Exchange
from domain.models import ModelSpec


@dataclass(frozen=True, slots=True)
class Answering:
    """What answers are made with. Without `knowledge`, that of agents is not searched."""

    providers: ChatModels
    tools: Mapping[ToolId, ToolRunner]
    attachments: OpenAttachments
    loop: AgentLoop
    places: ModelPlaces
    knowledge: RetrieveKnowledge | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """Who is asked what, by whom, and after which exchanges."""

    user_id: UserId
    agent: Agent
    spec: ModelSpec
    exchanges: Sequence[Exchange]
    question: str
    attached: Attached


@dataclass(slots=True)
class Making:
    """One answer in the making."""

    means: Answering
    told: Told
    """Without what is attached, once the prompt is made."""
    _prompt: Prompt | None = None

    def prompt_tokens(self) -> int:
        """An estimate for what the model was given; 0 before it was given anything."""
        return 0 if self._prompt is None else request_tokens(self._prompt.request)

    async def events(self, max_output_tokens: int | None) -> AsyncGenerator[LoopEvent, None]:
        spec = self.told.spec
        consulted, shown = await self._consulted(), ShownPassages()
        self._prompt = prompt = await self._composed(consulted, shown)
        if consulted is not None:
            yield consulted.told(shown.keep(prompt.passages))
        model = self.means.places.limited(spec, self.means.providers.open(spec))
        answer = self.means.loop.run(
            model,
            prompt.request,
            prompt.tools,
            max_output_tokens=max_output_tokens,
            context_window=spec.context_window,
        )
        async with aclosing(answer) as events:
            async for event in events:
                yield event

    async def _consulted(self) -> Consulted | None:
        """An agent without knowledge waits for nothing."""
        told, retrieve = self.told, self.means.knowledge
        if retrieve is None or not told.agent.knowledge_ids:
            return None
        return await consult(retrieve, told.user_id, told.agent.knowledge_ids, told.question)

    async def _composed(self, consulted: Consulted | None, shown: ShownPassages) -> Prompt:
        told = self.told
        runners = self._runners(consulted, shown) if told.spec.tools else []
        found = None if consulted is None or consulted.trouble else consulted.passages
        earlier = await self.means.attachments.earlier(told.user_id, told.exchanges, told.spec, told.attached)
        make = partial(
            compose, told.spec, told.agent, told.exchanges, told.question, runners, told.attached, earlier, found
        )
        prompt = await asyncio.to_thread(make) if told.attached.documents or earlier.documents else make()
        # The run lasts for minutes, and the documents may be large.
        self.told = replace(told, attached=Attached(), exchanges=())
        return prompt

    def _runners(self, consulted: Consulted | None, shown: ShownPassages) -> list[ToolRunner]:
        told, means = self.told, self.means
        chosen = [means.tools[tool_id] for tool_id in told.agent.tool_ids if tool_id in means.tools]
        if consulted is None or means.knowledge is None:
            return chosen
        ids, names = told.agent.knowledge_ids, consulted.names
        return [*chosen, SearchKnowledge(means.knowledge, told.user_id, ids, names, shown, told.spec)]
