"""The main job: a question in, a run out. All that can be refused is refused before the run begins."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Final

from application.chat.answering import Answering, Making, Told
from application.chat.attachments import Attached, OpenAttachments
from application.chat.callers_prompt import refuse_impossible
from application.chat.given_images import open_images
from application.chat.prompts import refuse_too_much
from application.chat.run_making import Begun, MakeRuns
from application.models.models import FindModel
from application.ports.clock import Clock
from application.ports.persistence import Scene, Transactions
from application.runs.leases import Leases
from application.runs.live_runs import LiveRun
from application.runs.run_closing import KeepAnswer
from application.runs.run_log import RunLog
from application.runs.run_registry import RunRegistry
from application.usage.quotas import Quotas
from domain.agents.agents import DEFAULT_AGENT, Agent
from domain.chat.callers import CallersPart
from domain.chat.chat_events import RunFailed
from domain.dialogs.dialogs import Dialog, name_from_question, parse_dialog_id
from domain.dialogs.messages import Answer, AnswerStatus, Question
from domain.dialogs.past import MOST_BYTES, MOST_EXCHANGES, Past
from domain.errors import Conflict, DomainError, InvalidValue, NotFound, TooLarge, Unavailable
from domain.ids import AgentId, DialogId, MessageId, RunId, UserId, new_id
from domain.models.model_routes import ModelRoute
from domain.models.models import ModelSpec
from domain.runs.pauses import MOST_WAITING
from domain.runs.runs import Idempotency, Run, RunStatus
from domain.text import storable

RETRY_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """What a person asks. `agent_id` answers this question, whichever agent the dialog has."""

    user_input: str
    dialog_id: str
    agent_id: AgentId | None = None
    file_urls: tuple[str, ...] = ()
    background: bool = False
    max_output_tokens: int | None = None
    """Of the whole answer, over all its turns."""
    caller: CallersPart | None = None
    """From a program that keeps the conversation itself: `user_input` is what the dialog shows of it then."""

    @property
    def needs_past(self) -> bool:
        return self.caller is None or self.caller.exchanges is None


@dataclass(frozen=True, slots=True)
class ChatLimits:
    """Characters of a question; seconds that a run waits for a reader to come back."""

    max_input_chars: int
    disconnect_grace_seconds: float


@dataclass(frozen=True, slots=True)
class StartChat:
    """Checks, takes the dialog, stores the question with its open answer, and starts the run."""

    transactions: Transactions
    clock: Clock
    find_model: FindModel
    attachments: OpenAttachments
    answering: Answering
    runs: RunRegistry
    keep: KeepAnswer
    leases: Leases
    make: MakeRuns
    limits: ChatLimits
    quotas: Quotas

    async def __call__(self, actor: UserId, asked: ChatRequest, idempotency: Idempotency | None = None) -> LiveRun:
        """Raises Conflict `idempotency_key_taken` for a key that started a run before."""
        dialog_id = self._checked(asked)
        with self.runs.admitted(actor):
            try:
                return await self._begin(actor, dialog_id, asked, idempotency)
            except (Conflict, NotFound) as refusal:
                if refusal.code not in {"dialog_exists", "dialog_not_found"}:
                    raise
                # The dialog came or went between the look at it and the question: look again.
                return await self._begin(actor, dialog_id, asked, idempotency)

    def _checked(self, asked: ChatRequest) -> DialogId:
        storable("user_input", asked.user_input)
        if not asked.user_input.strip():
            raise InvalidValue("user_input", "must not be empty")
        if len(asked.user_input) > self.limits.max_input_chars:
            limit = self.limits.max_input_chars
            raise TooLarge("user_input", f"must have at most {limit} characters, has {len(asked.user_input)}")
        return parse_dialog_id(asked.dialog_id)

    async def _begin(
        self, actor: UserId, dialog_id: DialogId, asked: ChatRequest, idempotency: Idempotency | None
    ) -> LiveRun:
        async with self.transactions.autocommit() as tx:
            scene = await tx.dialogs.scene(dialog_id, asked.agent_id, owner=actor)
        self.runs.admit_another(scene.open_runs)
        _refuse_too_many_waiting(scene)
        agent = _agent_of(scene, asked)
        spec = await self.find_model.in_scene(actor, agent.llm_id, scene)
        attached = await self.attachments(actor, asked.file_urls, spec)
        refuse_too_much(spec, agent, asked.user_input, attached)
        if asked.caller is not None:
            agent = asked.caller.instruct(agent)
            refuse = partial(refuse_impossible, spec, agent, asked.caller)
            await asyncio.to_thread(refuse) if asked.caller.is_long else refuse()
            attached.images += await open_images(self.attachments, actor, asked.caller.images, spec)
        self.runs.refuse_draining()
        now = self.clock.now()
        question = Question(MessageId(new_id()), dialog_id, asked.user_input, now, attachments=attached.files)
        dialog = None if scene.dialog else _new_dialog(actor, question, agent)
        answer = _open_answer(question, spec, agent)
        run = _queued(actor, answer, self.leases.until(), idempotency)
        async with self.quotas.admitted(actor, spec):
            taken = _Taken(run, question, answer, agent, spec, self.answering.models.admit(ModelRoute.of(spec), actor))
            return await self._start_or_give_up(asked, attached, taken, dialog)

    async def _start_or_give_up(
        self, asked: ChatRequest, attached: Attached, taken: "_Taken", dialog: Dialog | None
    ) -> LiveRun:
        with self.runs.starting(taken.run.run_id):
            try:
                return await self._start(asked, attached, taken, dialog)
            except (Conflict, NotFound):
                taken.leave()
                raise
            except BaseException as defect:
                # It may be stored, and nobody would go on with it.
                taken.leave()
                self.runs.beside(self._give_up(taken, defect))
                raise

    async def _start(self, asked: ChatRequest, attached: Attached, taken: "_Taken", dialog: Dialog | None) -> LiveRun:
        past = Past()
        owner = taken.run.user_id
        async with self.transactions.autocommit() as tx:
            await tx.runs.open(taken.run, taken.question, taken.answer, dialog=dialog)
            if dialog is None and asked.needs_past:
                # Read once the dialog is taken, so that nothing is still being said.
                past = await tx.messages.past(taken.run.dialog_id, MOST_EXCHANGES, MOST_BYTES, owner=owner)
        told = Told(owner, taken.agent, taken.spec, past, asked.user_input, attached).by(asked.caller)
        making = Making(self.answering, told)
        passing = asked.caller is not None and asked.caller.passing
        begun = Begun(taken.run, taken.answer, taken.agent, taken.spec, taken.leave, making.load, passing)
        grace = None if asked.background else self.limits.disconnect_grace_seconds
        live = self.make(begun, making.events(asked.max_output_tokens), grace)
        self.runs.start(live)
        return live

    async def _give_up(self, taken: "_Taken", defect: BaseException) -> None:
        """End a run that was stored, perhaps, and never started. Its key is free for another try."""
        code = defect.code if isinstance(defect, DomainError) else "internal_error"
        log, run = RunLog(taken.run.run_id), taken.run
        log.record(RunFailed(code, "The answer could not be begun.", retryable=True))
        failed = replace(taken.answer, status=AnswerStatus.FAILED, failure=code, closed_at=self.clock.now())
        await self.keep(failed, log, owner=run.user_id)
        held = run.idempotency is not None
        while held:
            try:
                async with self.transactions.autocommit() as tx:
                    await tx.runs.release_key(run.run_id)
                held = False
            except Unavailable:
                await asyncio.sleep(RETRY_SECONDS)


@dataclass(frozen=True, slots=True)
class _Taken:
    """A dialog that is taken for a run, and who answers. `leave` gives back its place at the model."""

    run: Run
    question: Question
    answer: Answer
    agent: Agent
    spec: ModelSpec
    leave: Callable[[], None]


def _new_dialog(actor: UserId, question: Question, agent: Agent) -> Dialog:
    """A dialog is made by its first question and called after it."""
    name, now = name_from_question(question.content), question.created_at
    return Dialog(question.dialog_id, actor, name, agent.agent_id, agent.name, agent.logo_url, now, now)


def _open_answer(question: Question, spec: ModelSpec, agent: Agent) -> Answer:
    return Answer(
        MessageId(new_id()),
        question.dialog_id,
        RunId(new_id()),
        AnswerStatus.RUNNING,
        question.created_at,
        model=spec.llm_id,
        agent_id=agent.agent_id,
        agent_version=agent.version,
    )


def _queued(actor: UserId, answer: Answer, lease_until: datetime, idempotency: Idempotency | None) -> Run:
    return Run(
        answer.run_id,
        actor,
        answer.dialog_id,
        answer.message_id,
        RunStatus.QUEUED,
        answer.created_at,
        lease_until,
        idempotency,
    )


def _refuse_too_many_waiting(scene: Scene) -> None:
    if scene.waiting_runs >= MOST_WAITING:
        message = f"{MOST_WAITING} answers wait for a word of yours on a tool call: give it, or stop some of them."
        raise Conflict("too_many_waiting", message)


def _agent_of(scene: Scene, asked: ChatRequest) -> Agent:
    if scene.agent is not None:
        return scene.agent
    if asked.agent_id is not None or scene.dialog is None:
        raise NotFound("agent", asked.agent_id or DEFAULT_AGENT)
    raise NotFound("agent", scene.dialog.agent_id)
