"""What a model is asked: system prompt, history, knowledge, attachments and question, within its context window."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from application.chat.attachment_search import SearchAttachment
from application.chat.attachments import Attached
from application.ports.tool_runner import ToolRunner
from domain.agents.agents import Agent
from domain.conversation.conversation import IMAGE_TOKENS, ModelRequest, UserTurn, request_tokens, tokens_of
from domain.dialogs.history import History, prompt_budget, remembered
from domain.dialogs.past import Past
from domain.dialogs.summaries import Load, summary_tokens
from domain.errors import ModelError
from domain.files.attachments import AttachedDocument, attached_text
from domain.knowledge.retrieval import Passage
from domain.knowledge.shown_passages import Numbered, PassagesText, passages_before_question
from domain.memory.memory_recall import memories_before_question
from domain.models.models import ModelSpec
from domain.tokens import estimate

_DOCUMENTS_SHARE: Final = (3, 4)
"""Of what the question leaves, at most that much is for documents; the rest is for history."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A request, who runs the tools that it offers, and the passages of knowledge that stand in it."""

    request: ModelRequest
    tools: Mapping[str, ToolRunner]
    passages: tuple[Numbered, ...] = ()
    load: Load | None = None
    callers: Mapping[str, str] = field(default_factory=dict)
    """Tools that the program runs which asked: names that the model knows, each with that program's own."""
    one_at_a_time: bool = False


@dataclass(frozen=True, slots=True)
class Beside:
    """Tokens of what a program brings with a question: `least` can't be left out, in full it has so many `more`."""

    least: int = 0
    more: int = 0


_NOTHING: Final = Beside()


def compose(
    spec: ModelSpec,
    agent: Agent,
    past: Past,
    question: str,
    runners: Sequence[ToolRunner],
    asked: Attached,
    earlier: Attached,
    found: Sequence[Passage] | None = None,
    memories: Sequence[str] = (),
    beside: Beside = _NOTHING,
) -> Prompt:
    """The question comes last, what it is asked of before it. Long documents take a while: not on the event loop.

    Documents that don't go in whole can be searched by the model, if it uses tools. `found` is what the agent's
    knowledge has for the question, None when it was not searched; `memories` what the agent remembers, best first.
    `beside` comes into the request later, and has its room before them all; in full it goes before the past.
    """
    documents = (*asked.documents, *earlier.documents)
    searchable = [*runners, _search(asked, earlier)] if documents and spec.tools else runners
    room = _room(spec, _request(spec, agent, UserTurn(question, tuple(asked.images)), searchable), beside)
    known = memories_before_question(memories, (room - _names(documents, searchable=spec.tools)) // 8)
    room -= estimate(known)
    knowledge = _knowledge(found, documents, room, searchable=spec.tools)
    room -= estimate(knowledge.text)
    budget = room * _DOCUMENTS_SHARE[0] // _DOCUMENTS_SHARE[1]
    shown = attached_text(documents, budget, searchable=spec.tools)
    offered = runners if shown.whole else searchable
    left = room - estimate(shown.text)
    images = (*asked.images, *earlier.images[: max(0, left) // 2 // IMAGE_TOKENS])
    turn = UserTurn(f"{knowledge.text}{known}{shown.text}{question}", images)
    bare = _request(spec, agent, turn, offered)
    room = _room(spec, bare, beside)
    left = max(0, room - beside.more)
    # The summary keeps its place: of what follows, the oldest can still go.
    history = remembered(past, max(left, min(room, 2 * summary_tokens(spec.context_window))))
    turn = replace(turn, text=f"{knowledge.text}{history.summary}{known}{shown.text}{question}")
    request = replace(bare, turns=(*history.turns, turn))
    load = _load(spec, past, history, tokens_of(UserTurn(question)), left)
    return Prompt(request, {runner.spec.name: runner for runner in offered}, knowledge.shown, load)


def refuse_too_much(spec: ModelSpec, agent: Agent, question: str, asked: Attached) -> None:
    """Raises ModelError `context_too_long` when what can't be left out has no room in the model's window."""
    if asked.files:
        names = attached_text(asked.documents, 0, searchable=True).text
        tools = [_search(asked, Attached())] if asked.documents and spec.tools else []
        turn = UserTurn(f"{names}{question}", tuple(asked.images))
        needed = request_tokens(_request(spec, agent, turn, tools))
        if needed >= spec.context_window:
            message = (
                f"The question with its files needs about {needed:,} tokens, the model {spec.llm_id} has room for "
                f"{spec.context_window:,}: send fewer images, or ask a model with a larger window."
            )
            raise ModelError("context_too_long", message)


def _knowledge(
    found: Sequence[Passage] | None, documents: Sequence[AttachedDocument], room: int, *, searchable: bool
) -> PassagesText:
    """Half of the room at most, once the documents' names have theirs, which can't be left out."""
    if found is None:
        return PassagesText("")
    return passages_before_question(found, (room - _names(documents, searchable=searchable)) // 2)


def _names(documents: Sequence[AttachedDocument], *, searchable: bool) -> int:
    """Tokens of what is told of documents in any case."""
    return estimate(attached_text(documents, 0, searchable=searchable).text) if documents else 0


def _load(spec: ModelSpec, past: Past, history: History, question: int, room: int) -> Load:
    """The summary's place is kept free, whether there is one already or not."""
    free = max(0, room - summary_tokens(spec.context_window))
    return Load(past.covers, past.before, history.sizes, question, free)


def _search(asked: Attached, earlier: Attached) -> SearchAttachment:
    names = [one.name for one in (*asked.documents, *earlier.documents)]
    return SearchAttachment(names, (*asked.again, *earlier.again))


def _request(spec: ModelSpec, agent: Agent, turn: UserTurn, runners: Sequence[ToolRunner]) -> ModelRequest:
    tools = tuple(runner.spec for runner in runners)
    return ModelRequest(spec.model, agent.system_prompt, (turn,), tools, spec.max_output_tokens)


def _room(spec: ModelSpec, request: ModelRequest, beside: Beside) -> int:
    return prompt_budget(spec.context_window, spec.max_output_tokens, request_tokens(request) + beside.least)
