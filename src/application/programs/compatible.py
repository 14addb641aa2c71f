"""Agents for programs that speak OpenAI's protocol: each agent is a model, each request a run like every other.

Such a program keeps the conversation itself and tells all of it each time. What was said is still kept in a dialog: the
one that the program names, else the one in which this very conversation was left, else a new one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from application.chat.ask_once import AskOnce
from application.chat.callers_prompt import RestoreRounds
from application.chat.chat import ChatLimits, ChatRequest
from application.paging import Window
from application.ports.persistence import Transactions
from application.programs.named_agents import agent_of_id, agent_of_name
from application.runs.run_readers import Followed
from domain.agents.agents import DEFAULT_AGENT, Agent
from domain.chat.callers import CallersPart, CallersTools, results_text
from domain.chat.told_messages import Continued, Telling
from domain.conversation.answer_forms import AnswerForm, with_form
from domain.dialogs.dialogs import parse_dialog_id
from domain.errors import Conflict, NotFound, TooLarge, Unauthenticated, Unavailable
from domain.ids import UserId, new_id
from domain.text import storable

PREFIX: Final = "agent/"
MOST_LISTED: Final = 1_000
LONGEST_MODEL: Final = 256


@dataclass(frozen=True, slots=True)
class NamedAgent:
    """An agent and the name under which a program asks for it."""

    model: str
    agent: Agent


@dataclass(frozen=True, slots=True)
class FindNamedAgent:
    """By its id, or by its exact name, with or without `agent/` before it: then the name comes first."""

    transactions: Transactions

    async def __call__(self, actor: UserId, model: str) -> Agent:
        """Raises NotFound `model_not_found`."""
        storable("model", model)
        name = model.removeprefix(PREFIX).strip()
        ways = (agent_of_id, agent_of_name) if model == name else (agent_of_name, agent_of_id)
        if name and len(model) <= LONGEST_MODEL:
            async with self.transactions.autocommit() as tx:
                for look in ways:
                    if found := await look(tx, actor, name):
                        return found
        raise NotFound("model", model)


@dataclass(frozen=True, slots=True)
class ListNamedAgents:
    """The newest, the default agent first: programs choose the first where nobody chooses."""

    transactions: Transactions

    async def __call__(self, actor: UserId) -> Sequence[NamedAgent]:
        async with self.transactions.autocommit() as tx:
            agents = await tx.agents.list(Window(MOST_LISTED), owner=actor)
        own = {agent.name for agent in agents if agent.is_custom}
        named = [NamedAgent(_named(agent, own), agent) for agent in agents]
        return sorted(named, key=lambda one: one.agent.agent_id != DEFAULT_AGENT)


def _named(agent: Agent, own: set[str]) -> str:
    """Its name, which people know; its id where the name is another one's, or hidden by one's own."""
    hidden = not agent.is_custom and agent.name in own
    return agent.agent_id if hidden or agent.agent_id == DEFAULT_AGENT else f"{PREFIX}{agent.name}"


@dataclass(frozen=True, slots=True)
class CompatibleRequest:
    """What a program asks. `conversation` names all that was said, `before` what was said when it was answered last.

    With a `dialog_id` the dialog's own history holds, and of the messages the question alone counts.
    `digest` is that of the whole request. What is `passing` goes on with no conversation, and leaves no dialog.
    """

    model: str
    telling: Telling
    tools: CallersTools
    conversation: str
    before: Continued | None
    digest: str
    dialog_id: str | None = None
    max_output_tokens: int | None = None
    passing: bool = False
    stop: tuple[str, ...] = ()
    form: AnswerForm | None = None
    """The form that the answer is wanted in."""


@dataclass(frozen=True, slots=True)
class AskCompatibly:
    find: FindNamedAgent
    restore: RestoreRounds
    ask: AskOnce
    transactions: Transactions
    limits: ChatLimits

    async def __call__(self, actor: UserId, asked: CompatibleRequest, key: str | None) -> Followed:
        """Raises all that refuses a question, before the first byte."""
        self._refuse_long(asked.telling, asked.form)
        agent = await self.find(actor, asked.model)
        part = await self.restore(actor, _part(asked, agent))
        if asked.dialog_id is not None:
            return await self.ask(actor, _request(asked, agent, part, parse_dialog_id(asked.dialog_id)), key)
        known = await self._recognised(actor, agent, asked)
        fresh = f"openai-{new_id()}"
        try:
            run = await self.ask(actor, _request(asked, agent, part, known or fresh), key)
        except Conflict as busy:
            if known is None or busy.code != "dialog_busy":
                raise
            # Somebody goes on with the same conversation at the same moment: each has a dialog then.
            run = await self.ask(actor, _request(asked, agent, part, fresh), key)
        if run.state.is_open and not asked.passing:
            await self._remember(run, part.conversation)
        return run

    def _refuse_long(self, telling: Telling, form: AnswerForm | None) -> None:
        limit = self.limits.max_input_chars
        for place, what, text in (
            (telling.asked_at, "question", telling.question),
            ("messages", "instructions", telling.instructions),
            ("response_format", "schema", form.instruction if form else ""),
        ):
            if len(text) > limit:
                raise TooLarge(place, f"the {what} must have at most {limit} characters, has {len(text)}")

    async def _recognised(self, actor: UserId, agent: Agent, asked: CompatibleRequest) -> str | None:
        before = asked.before
        if before is None or asked.passing:
            return None
        async with self.transactions.autocommit() as tx:
            named = _with(agent, before.conversation_before)
            if before.answer is not None:
                return await tx.conversations.of_answer(named, before.answer, owner=actor)
            return await tx.conversations.find(named, before.last_answer, owner=actor)

    async def _remember(self, run: Followed, conversation: str) -> None:
        """What is not remembered costs a dialog of its own for the next question, never the answer."""
        try:
            async with self.transactions.autocommit() as tx:
                await tx.conversations.told(run.state.dialog_id, conversation, owner=run.state.user_id)
        except (Unavailable, Unauthenticated):
            return


def _with(agent: Agent, conversation: str) -> str:
    return f"{agent.agent_id} {conversation}"


def _part(asked: CompatibleRequest, agent: Agent) -> CallersPart:
    telling, named = asked.telling, asked.dialog_id is not None
    return CallersPart(
        telling.question,
        None if named else telling.exchanges,
        telling.rounds,
        with_form(telling.instructions, asked.form),
        telling.images,
        () if named else telling.earlier_images,
        asked.tools,
        asked.digest,
        "" if named else _with(agent, asked.conversation),
        asked.passing,
        asked.stop,
    )


def _request(asked: CompatibleRequest, agent: Agent, part: CallersPart, dialog_id: str) -> ChatRequest:
    return ChatRequest(
        _shown(asked.telling),
        dialog_id,
        agent.agent_id,
        max_output_tokens=asked.max_output_tokens,
        caller=part,
    )


def _shown(telling: Telling) -> str:
    """What stands in the dialog as the question."""
    if telling.rounds:
        return results_text(telling.rounds[-1])
    return telling.question if telling.question.strip() else " ".join(["[image]"] * len(telling.images))
