"""What a run does: it opens what earlier questions brought along, makes the prompt, and lets the agent loop answer."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial

from application.agent_loop import AgentLoop
from application.attachments import Attached, OpenAttachments
from application.model_places import ModelPlaces
from application.ports.chat_model import ChatModels
from application.ports.tool_runner import ToolRunner
from application.prompts import Prompt, compose
from domain.agents import Agent
from domain.chat_events import LoopEvent
from domain.conversation import request_tokens
from domain.ids import ToolId, UserId
from domain.messages import Exchange
from domain.models import ModelSpec


@dataclass(frozen=True, slots=True)
class Answering:
    """What answers are made with."""

    providers: ChatModels
    tools: Mapping[ToolId, ToolRunner]
    attachments: OpenAttachments
    loop: AgentLoop
    places: ModelPlaces


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
        self._prompt = prompt = await self._composed()
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

    async def _composed(self) -> Prompt:
        told = self.told
        chosen = [self.means.tools[tool_id] for tool_id in told.agent.tool_ids if tool_id in self.means.tools]
        runners = chosen if told.spec.tools else []
        earlier = await self.means.attachments.earlier(told.user_id, told.exchanges, told.spec, told.attached)
        make = partial(compose, told.spec, told.agent, told.exchanges, told.question, runners, told.attached, earlier)
        prompt = await asyncio.to_thread(make) if told.attached.documents or earlier.documents else make()
        # The run lasts for minutes, and the documents may be large.
        self.told = replace(told, attached=Attached(), exchanges=())
        return prompt
