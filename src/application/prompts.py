"""What a model is asked: system prompt, history, attachments and question, within its context window."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from application.attachment_search import SearchAttachment
from application.attachments import Attached
from application.ports.tool_runner import ToolRunner
from domain.agents import Agent
from domain.attachments import attached_text
from domain.conversation import IMAGE_TOKENS, ModelRequest, UserTurn, request_tokens
from domain.errors import ModelError
from domain.history import prompt_budget, window
from domain.messages import Exchange
from domain.models import ModelSpec
from domain.tokens import estimate

_DOCUMENTS_SHARE: Final = (3, 4)
"""Of what the question leaves, at most that much is for documents; the rest is for history."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A request, and who runs the tools that it offers."""

    request: ModelRequest
    tools: Mapping[str, ToolRunner]


def compose(
    spec: ModelSpec,
    agent: Agent,
    exchanges: Sequence[Exchange],
    question: str,
    runners: Sequence[ToolRunner],
    asked: Attached,
    earlier: Attached,
) -> Prompt:
    """The question comes last, what it is asked of before it. Long documents take a while: not on the event loop.

    Documents that don't go in whole can be searched by the model, if it uses tools.
    """
    documents = (*asked.documents, *earlier.documents)
    searchable = [*runners, _search(asked, earlier)] if documents and spec.tools else runners
    room = _room(spec, _request(spec, agent, UserTurn(question, tuple(asked.images)), searchable))
    budget = room * _DOCUMENTS_SHARE[0] // _DOCUMENTS_SHARE[1]
    shown = attached_text(documents, budget, searchable=spec.tools)
    offered = runners if shown.whole else searchable
    left = room - estimate(shown.text)
    images = (*asked.images, *earlier.images[: max(0, left) // 2 // IMAGE_TOKENS])
    turn = UserTurn(f"{shown.text}{question}", images)
    bare = _request(spec, agent, turn, offered)
    request = replace(bare, turns=(*window(exchanges, _room(spec, bare)), turn))
    return Prompt(request, {runner.spec.name: runner for runner in offered})


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


def _search(asked: Attached, earlier: Attached) -> SearchAttachment:
    names = [one.name for one in (*asked.documents, *earlier.documents)]
    return SearchAttachment(names, (*asked.again, *earlier.again))


def _request(spec: ModelSpec, agent: Agent, turn: UserTurn, runners: Sequence[ToolRunner]) -> ModelRequest:
    tools = tuple(runner.spec for runner in runners)
    return ModelRequest(spec.model, agent.system_prompt, (turn,), tools, spec.max_output_tokens)


def _room(spec: ModelSpec, request: ModelRequest) -> int:
    return prompt_budget(spec.context_window, spec.max_output_tokens, request_tokens(request))
