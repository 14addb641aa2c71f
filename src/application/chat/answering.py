"""What a run does: it searches the agent's knowledge, makes the prompt, and lets the agent loop answer."""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from application.asking.model_chain import AskModels, ModelChain
from application.chat.agent_loop import AgentLoop, Equipment
from application.chat.attachment_search import NAME as SEARCH_ATTACHMENT
from application.chat.attachment_search import SearchAttachment
from application.chat.attachments import Attached, OpenAttachments
from application.chat.callers_prompt import composed_for
from application.chat.given_images import open_earlier_images
from application.chat.knowledge_search import Consulted, SearchKnowledge, ShownPassages, consult
from application.chat.offered_again import missing, under_offered_names
from application.chat.prompts import Beside, Prompt, compose
from application.chat.recalling import Recall
from application.chat.toolbox import AtHand, Toolbox
from application.knowledge.retrieval import RetrieveKnowledge
from application.ports.tool_runner import ToolRunner
from application.tools.asking_depth import asking_depth
from application.tools.tool_calls import MAX_RESULT_CHARS
from domain.agents.agents import Agent
from domain.chat.callers import CallersPart
from domain.chat.chat_events import LoopEvent, RoundFinished, ToolProgress
from domain.dialogs.past import Past
from domain.dialogs.summaries import Load
from domain.files.files import Attachment
from domain.ids import UserId
from domain.models.model_routes import ModelRoute
from domain.models.models import ModelSpec
from domain.runs.pauses import PauseAsked, RunPause
from domain.runs.waiting_images import files_of, put_back, set_aside

RunEvent = LoopEvent | RunPause

MOST_ON_THE_LOOP: Final = 100_000
"""Characters of a dialog that are looked at without a thread: some milliseconds."""


@dataclass(frozen=True, slots=True)
class Answering:
    """What answers are made with. Without `knowledge` none is searched, without `recall` no agent remembers."""

    models: AskModels
    toolbox: Toolbox
    attachments: OpenAttachments
    loop: AgentLoop
    knowledge: RetrieveKnowledge | None = None
    recall: Recall | None = None

    def search(
        self, actor: UserId, agent: Agent, names: Sequence[str], shown: ShownPassages, spec: ModelSpec
    ) -> list[ToolRunner]:
        """The tool that searches the agent's knowledge, if there is any."""
        if self.knowledge is None:
            return []
        return [SearchKnowledge(self.knowledge, actor, agent.knowledge_ids, names, shown, spec)]


@dataclass(frozen=True, slots=True)
class Told:
    """Who is asked what, by whom, and after what."""

    user_id: UserId
    agent: Agent
    spec: ModelSpec
    past: Past
    question: str
    attached: Attached
    caller: CallersPart | None = None

    @property
    def is_long(self) -> bool:
        """Whether to look at it takes so long that others must not wait."""
        return self.past.characters > MOST_ON_THE_LOOP or (self.caller is not None and self.caller.is_long)

    def by(self, caller: CallersPart | None) -> "Told":
        """As a caller tells it that keeps the conversation itself; what it tells of the past is read later."""
        return self if caller is None else replace(self, question=caller.question, caller=caller)


@dataclass(slots=True)
class Making:
    """One answer in the making."""

    means: Answering
    told: Told
    """Without what is attached, once the prompt is made."""
    _prompt: Prompt | None = None

    def load(self) -> Load | None:
        """How full the dialog's window was; None before that is known."""
        return None if self._prompt is None else self._prompt.load

    async def events(self, max_output_tokens: int | None) -> AsyncGenerator[RunEvent, None]:
        """What happens, up to the end or to a pause."""
        spec, agent, attached = self.told.spec, self.told.agent, self.told.attached.files
        brought = () if self.told.caller is None else self.told.caller.brought(MAX_RESULT_CHARS)
        (consulted, memories), shown = await asyncio.gather(self._consulted(), self._recalled()), ShownPassages()
        at_hand = await self.means.toolbox(self.told.user_id, agent, spec.context_window) if spec.tools else None
        for trouble in at_hand.troubles if at_hand else ():
            yield ToolProgress(trouble)
        self._prompt = prompt = await self._composed(consulted, shown, at_hand.runners if at_hand else (), memories)
        if consulted is not None:
            yield consulted.told(shown.keep(prompt.passages))
        for one in brought:
            yield RoundFinished(one)
        models = self.means.models.chain(ModelRoute.of(spec), self.told.user_id, output_left=max_output_tokens)
        answer = self.means.loop.run(models, prompt.request, offered(agent, prompt))
        async with aclosing(answer) as events:
            async for event in events:
                yield paused(event, models, agent, attached, shown) if isinstance(event, PauseAsked) else event

    async def _consulted(self) -> Consulted | None:
        """An agent without knowledge waits for nothing."""
        told, retrieve = self.told, self.means.knowledge
        if retrieve is None or not told.agent.knowledge_ids:
            return None
        return await consult(retrieve, told.user_id, told.agent.knowledge_ids, told.question)

    async def _recalled(self) -> Sequence[str]:
        told, recall = self.told, self.means.recall
        return () if recall is None else await recall(told.user_id, told.agent, told.question)

    async def _composed(
        self,
        consulted: Consulted | None,
        shown: ShownPassages,
        at_hand: Sequence[ToolRunner],
        memories: Sequence[str],
    ) -> Prompt:
        told = self.told
        runners = [*at_hand]
        if consulted is not None and told.spec.tools:
            runners += self.means.search(told.user_id, told.agent, consulted.names, shown, told.spec)
        found = None if consulted is None or consulted.trouble else consulted.passages
        earlier = await self.means.attachments.earlier(told.user_id, told.past.attached, told.spec, told.attached)
        if told.caller is not None:
            images = told.caller.earlier_images
            earlier.images += await open_earlier_images(
                self.means.attachments, told.user_id, images, told.spec, told.attached.images
            )

        def composed(past: Past, beside: Beside) -> Prompt:
            asked = told.spec, told.agent, past, told.question
            return compose(*asked, runners, told.attached, earlier, found, memories, beside)

        if told.caller is None:
            make = partial(composed, told.past, Beside())
        else:
            make = partial(composed_for, told.caller, told.spec, told.past, composed)
        heavy = told.attached.documents or earlier.documents or told.is_long
        prompt = await asyncio.to_thread(make) if heavy else make()
        # The run lasts for minutes, and the documents may be large.
        self.told = replace(told, attached=Attached(), past=Past(), caller=None)
        return prompt


@dataclass(frozen=True, slots=True)
class Continuing:
    """One answer that waited for a person, and goes on. `attached` came with its question and earlier ones."""

    means: Answering
    user_id: UserId
    spec: ModelSpec
    pause: RunPause
    attached: Sequence[Attachment]

    async def events(self) -> AsyncGenerator[RunEvent, None]:
        pause, agent, shown = self.pause, self.pause.agent, ShownPassages(self.pause.shown)
        route = pause.route(self.spec)
        models = self.means.models.chain(route, self.user_id, output_left=pause.loop.output_left)
        at_hand = await self.means.toolbox.again(self.user_id, agent, pause.loop.request.tools)
        for trouble in at_hand.troubles:
            yield ToolProgress(trouble)
        tools = await self._equipment(at_hand, shown)
        images = await self.means.attachments.pictures(self.user_id, files_of(pause.loop.request))
        request = put_back(pause.loop.request, images)
        if self.means.recall is not None:
            request = await self.means.recall.again(self.user_id, agent, request)
        loop = replace(pause.loop, request=request)
        answer = self.means.loop.resume(models, loop, pause.calls(), tools)
        async with aclosing(answer) as events:
            async for event in events:
                if isinstance(event, PauseAsked):
                    again = paused(event, models, agent, pause.attached, shown)
                    yield replace(again, number=pause.number + 1)
                else:
                    yield event

    async def _equipment(self, at_hand: AtHand, shown: ShownPassages) -> Equipment:
        """What the model was offered, as far as it is still there; what is not stands there with the reason."""
        agent, specs = self.pause.agent, self.pause.loop.request.tools
        searches: list[ToolRunner] = []
        if agent.knowledge_ids:
            searches += self.means.search(self.user_id, agent, (), shown, self.spec)
        if any(spec.tool_id == SEARCH_ATTACHMENT for spec in specs):
            files = await self.means.attachments.earlier(self.user_id, self.attached, self.spec, Attached())
            searches.append(SearchAttachment([one.name for one in files.documents], files.again))
        there = [*at_hand.runners, *under_offered_names(searches, specs)]
        lost = missing(there, specs, {*agent.tool_ids, *agent.mcp_ids}, at_hand.away)
        equipped = equipment(agent, there)
        # Nobody is asked for a word on what can't be called.
        return replace(equipped, tools={**equipped.tools, **{one.spec.name: one for one in lost}})


def equipment(agent: Agent, runners: Iterable[ToolRunner]) -> Equipment:
    tools = {runner.spec.name: runner for runner in runners}
    guarded = {name for name, runner in tools.items() if runner.spec.tool_id in agent.require_approval}
    return Equipment(tools, guarded)


def offered(agent: Agent, prompt: Prompt) -> Equipment:
    own = equipment(agent, prompt.tools.values())
    return replace(own, callers=prompt.callers, one_at_a_time=prompt.one_at_a_time)


def paused(
    asked: PauseAsked, models: ModelChain, agent: Agent, attached: tuple[Attachment, ...], shown: ShownPassages
) -> RunPause:
    route = models.route
    return RunPause(
        replace(asked.pause, request=set_aside(asked.pause.request)),
        route.spec.llm_id,
        agent,
        attached,
        shown.places,
        depth=asking_depth.get(),
        models_waiting=route.waiting,
        models_tried=route.tried,
    )
