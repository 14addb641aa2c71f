"""The main job: a question in, a run out. All that can be refused is refused before the run begins."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Final

from application.agent_loop import AgentLoop
from application.models import ModelCatalogue
from application.ports.chat_model import ChatModels
from application.ports.clock import Clock
from application.ports.persistence import Scene, Transactions
from application.ports.tool_runner import ToolRunner
from application.run_registry import RunRegistry
from application.runs import OnCrash, Run, RunKey
from domain.agents import DEFAULT_AGENT, Agent
from domain.chat_events import ChatEvent, LoopEvent, RunFailed, RunFinished
from domain.conversation import FinishReason, ModelRequest, UserTurn, request_tokens
from domain.dialogs import Dialog, name_from_question, parse_dialog_id
from domain.errors import Conflict, DomainError, InvalidValue, NotFound, TooLarge
from domain.history import prompt_budget, window
from domain.ids import AgentId, DialogId, MessageId, RunId, ToolId, UserId, new_id
from domain.messages import Answer, AnswerStatus, Exchange, Question
from domain.models import ModelSpec
from domain.text import storable
from domain.transcript import Transcript

HISTORY_EXCHANGES: Final = 50
STORE_ATTEMPTS: Final = 6

OnStoreTrouble = Callable[[RunId, DomainError], None]


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """What a person asks. `agent_id` answers this question, whichever agent the dialog has."""

    user_input: str
    dialog_id: str
    agent_id: AgentId | None = None
    file_urls: tuple[str, ...] = ()
    background: bool = False


@dataclass(frozen=True, slots=True)
class ChatLimits:
    """Characters of a question; seconds that a run may take, and that it waits for a reader to come back."""

    max_input_chars: int
    max_run_seconds: float
    disconnect_grace_seconds: float


@dataclass(frozen=True, slots=True)
class KeepAnswer:
    """Stores a run's answer. Tried again while the database is away; exactly one closer wins."""

    transactions: Transactions
    clock: Clock
    on_trouble: OnStoreTrouble
    first_pause: float = 0.2

    async def __call__(self, answer: Answer, *, owner: UserId) -> tuple[ChatEvent, ...]:
        """The run's last events. An answer that could not be kept is told as failed, never as complete."""
        for attempt in range(STORE_ATTEMPTS):
            try:
                async with self.transactions.autocommit() as tx:
                    # Nobody misses a stopped answer whose dialog was deleted: that is why it was stopped.
                    if await tx.messages.close(answer, owner=owner) or answer.status is AnswerStatus.STOPPED:
                        return (_finished(answer),)
                return _lost(answer, "The answer could not be stored: its dialog is gone.", retryable=False)
            except DomainError as trouble:
                self.on_trouble(answer.run_id, trouble)
                if trouble.retry_after is None:
                    break
            await asyncio.sleep(self.first_pause * 2**attempt)
        return _lost(answer, "The answer could not be stored: the database is away.", retryable=True)


@dataclass(frozen=True, slots=True)
class StartChat:
    """Checks, takes the dialog, stores the question with its open answer, and starts the run."""

    transactions: Transactions
    clock: Clock
    models: ModelCatalogue
    providers: ChatModels
    tools: Mapping[ToolId, ToolRunner]
    loop: AgentLoop
    runs: RunRegistry
    keep: KeepAnswer
    limits: ChatLimits
    on_crash: OnCrash

    async def __call__(self, actor: UserId, asked: ChatRequest) -> Run:
        dialog_id = self._checked(asked)
        with self.runs.admitted(actor):
            try:
                agent, exchanges, answer = await self._take(actor, dialog_id, asked)
            except (Conflict, NotFound) as refusal:
                if refusal.code not in {"dialog_exists", "dialog_not_found"}:
                    raise
                # The dialog came or went between the look at it and the question: look again.
                agent, exchanges, answer = await self._take(actor, dialog_id, asked)
            run = self._run(actor, asked, agent, exchanges, answer)
            self.runs.start(run)
        return run

    def _checked(self, asked: ChatRequest) -> DialogId:
        storable("user_input", asked.user_input)
        if not asked.user_input.strip():
            raise InvalidValue("user_input", "must not be empty")
        if len(asked.user_input) > self.limits.max_input_chars:
            limit = self.limits.max_input_chars
            raise TooLarge("user_input", f"must have at most {limit} characters, has {len(asked.user_input)}")
        if asked.file_urls:
            raise InvalidValue("file_url", "is not the address of one of your files")
        return parse_dialog_id(asked.dialog_id)

    async def _take(
        self, actor: UserId, dialog_id: DialogId, asked: ChatRequest
    ) -> tuple[Agent, tuple[Exchange, ...], Answer]:
        now = self.clock.now()
        question = Question(MessageId(new_id()), dialog_id, asked.user_input, now)
        answer = Answer(MessageId(new_id()), dialog_id, RunId(new_id()), AnswerStatus.RUNNING, now)
        async with self.transactions.autocommit() as tx:
            scene = await tx.dialogs.scene(dialog_id, asked.agent_id, owner=actor)
            agent = _agent_of(scene, asked)
            self._model_of(agent)
            dialog = None if scene.dialog else _new_dialog(actor, question, agent)
            lease_until = self.runs.lease_until(now)
            await tx.messages.open(question, answer, owner=actor, lease_until=lease_until, dialog=dialog)
        return agent, () if dialog else await self._before(actor, answer), answer

    def _model_of(self, agent: Agent) -> ModelSpec:
        return self.models.answering(agent.llm_id) if agent.llm_id else self.models.default()

    async def _before(self, actor: UserId, opened: Answer) -> tuple[Exchange, ...]:
        """What was said in the dialog before: read once the dialog is taken, so that nothing is still being said."""
        try:
            async with self.transactions.autocommit() as tx:
                return tuple(await tx.messages.recent(opened.dialog_id, HISTORY_EXCHANGES, owner=actor))
        except DomainError as error:
            failed = replace(opened, status=AnswerStatus.FAILED, failure=error.code, closed_at=self.clock.now())
            await self.keep(failed, owner=actor)
            raise

    def _run(
        self, actor: UserId, asked: ChatRequest, agent: Agent, exchanges: tuple[Exchange, ...], opened: Answer
    ) -> Run:
        spec = self._model_of(agent)
        runners = [self.tools[tool_id] for tool_id in agent.tool_ids if tool_id in self.tools] if spec.tools else []
        request = _prompt(spec, agent, exchanges, asked.user_input, runners)

        async def store(transcript: Transcript, status: AnswerStatus) -> Sequence[ChatEvent]:
            now = self.clock.now()
            answer = transcript.close(opened, status, spec.llm_id, lambda: request_tokens(request), now)
            return await self.keep(answer, owner=actor)

        return Run(
            RunKey(opened.run_id, actor, opened.dialog_id, opened.message_id),
            self._answer(spec, request, {runner.spec.name: runner for runner in runners}),
            store,
            self.on_crash,
            grace_seconds=None if asked.background else self.limits.disconnect_grace_seconds,
            time_limit=self.limits.max_run_seconds,
        )

    async def _answer(
        self, spec: ModelSpec, request: ModelRequest, tools: Mapping[str, ToolRunner]
    ) -> AsyncGenerator[LoopEvent, None]:
        async with aclosing(self.loop.run(self.providers.open(spec), request, tools)) as events:
            async for event in events:
                yield event


def _new_dialog(actor: UserId, question: Question, agent: Agent) -> Dialog:
    """A dialog is made by its first question and called after it."""
    name, now = name_from_question(question.content), question.created_at
    return Dialog(question.dialog_id, actor, name, agent.agent_id, agent.name, agent.logo_url, now, now)


def _agent_of(scene: Scene, asked: ChatRequest) -> Agent:
    if scene.agent is not None:
        return scene.agent
    if asked.agent_id is not None or scene.dialog is None:
        raise NotFound("agent", asked.agent_id or DEFAULT_AGENT)
    raise NotFound("agent", scene.dialog.agent_id)


def _prompt(
    spec: ModelSpec, agent: Agent, exchanges: tuple[Exchange, ...], question: str, runners: list[ToolRunner]
) -> ModelRequest:
    tools = tuple(runner.spec for runner in runners)
    bare = ModelRequest(spec.model, agent.system_prompt, (UserTurn(question),), tools, spec.max_output_tokens)
    fixed = request_tokens(bare)
    turns = window(exchanges, prompt_budget(spec.context_window, spec.max_output_tokens, fixed))
    return ModelRequest(spec.model, agent.system_prompt, (*turns, UserTurn(question)), tools, spec.max_output_tokens)


def _lost(answer: Answer, why: str, *, retryable: bool) -> tuple[ChatEvent, ...]:
    return RunFailed("answer_not_stored", why, retryable), _finished(replace(answer, status=AnswerStatus.FAILED))


def _finished(answer: Answer) -> RunFinished:
    return RunFinished(
        status=answer.status,
        content=answer.content,
        message_id=answer.message_id,
        run_id=answer.run_id,
        dialog_id=answer.dialog_id,
        model=answer.model,
        usage=answer.usage,
        citations=answer.citations,
        finish_reason=None if answer.finish_reason is None else FinishReason(answer.finish_reason),
    )
