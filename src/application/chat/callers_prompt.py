"""A prompt with the caller's part in it: its tools beside the agent's own, and what it brings after the question."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Final

from application.chat.prompts import Beside, Prompt
from application.ports.conversations import KeptAnswer
from application.ports.persistence import Transactions
from domain.agents.agents import Agent
from domain.chat.callers import MOST_TOOLS, CallersPart, under_names, with_own_rounds, with_whole_answer
from domain.chat.told_waits import answer_that_waited
from domain.conversation.conversation import (
    IMAGE_TOKENS,
    AssistantTurn,
    ModelRequest,
    ToolTurn,
    Turn,
    UserTurn,
    request_tokens,
    tokens_of,
)
from domain.conversation.tool_choice import AS_IT_LIKES, ChoiceKind
from domain.dialogs.history import prompt_budget, relieved
from domain.dialogs.messages import Exchange
from domain.dialogs.past import Past
from domain.errors import Conflict, InvalidValue, ModelError
from domain.ids import MessageId, UserId
from domain.models.models import ModelSpec
from domain.tokens import CHARACTERS_A_TOKEN, estimate
from domain.tools.call_limits import LEAST_SHARE, fitted
from domain.tools.tools import ToolRound, ToolSpec

MOST_RESTORED: Final = 64
"""Answers whose own calls are put back: the newest. A program that calls for hours brings its own part of the rest."""

_FRAMED_SHARE: Final = LEAST_SHARE + 4
_RENAMED: Final = 4
"""Tokens that another name may cost, where the agent has a tool of that name."""


@dataclass(frozen=True, slots=True)
class RestoreRounds:
    """What the agent called by itself in the answers that the caller goes on with, and what became of those that it
    left while they waited for a person. One statement, or none.
    """

    transactions: Transactions

    async def __call__(self, actor: UserId, part: CallersPart) -> CallersPart:
        """An answer that is gone, or somebody else's, has nothing to put back.

        Raises Conflict `answer_waits` where the last one still waits.
        """
        waited = [answer_that_waited(one.answer) for one in part.exchanges or ()]
        named = (*(one for one in waited if one is not None), *part.answers_before)
        wanted = list(dict.fromkeys(named))[-MOST_RESTORED:]
        if not wanted:
            return part
        async with self.transactions.autocommit() as tx:
            kept = await tx.conversations.answers(wanted, owner=actor)
        last = waited[-1] if waited and not part.rounds else None
        if last is not None and last in kept and kept[last].is_open:
            message = "The last answer waits for a word on its tool calls: give it with /chat/approve, or stop the run."
            raise Conflict("answer_waits", message)
        own = {name: one.rounds for name, one in kept.items()}
        return replace(
            part, exchanges=_with_answers(part.exchanges, waited, kept), rounds=with_own_rounds(part.rounds, own)
        )


def _with_answers(
    told: tuple[Exchange, ...] | None, waited: Sequence[MessageId | None], kept: Mapping[MessageId, KeptAnswer]
) -> tuple[Exchange, ...] | None:
    if told is None:
        return None
    found = [None if name is None else kept.get(name) for name in waited]
    return tuple(
        one if answer is None or answer.is_open else with_whole_answer(one, answer.text, answer.rounds)
        for one, answer in zip(told, found, strict=True)
    )


def refuse_impossible(spec: ModelSpec, agent: Agent, part: CallersPart) -> None:
    """Before anything is stored. Raises InvalidValue, and ModelError `context_too_long`."""
    if not spec.tools and (part.tools.specs or part.rounds):
        raise InvalidValue("tools", f"the agent's model, {spec.llm_id}, uses no tools")
    asked = estimate(agent.system_prompt) + tokens_of(UserTurn(part.question)) + IMAGE_TOKENS * len(part.images)
    needed = asked + _least(part)
    # A model whose answers may fill its window is asked what is short, like by everybody else.
    room = max(prompt_budget(spec.context_window, spec.max_output_tokens, 0), spec.context_window // 10)
    if needed > room:
        message = (
            f"The messages need about {needed:,} tokens that can't be left out, the model {spec.llm_id} has room for "
            f"{room:,} beside its answer: send less, or ask a model with a larger window."
        )
        raise ModelError("context_too_long", message)


def beside(part: CallersPart) -> Beside:
    """What the caller's tools and rounds cost in the request of its question."""
    results = [result.content for one in part.rounds for result in one.results]
    return Beside(_least(part), sum(max(0, estimate(one) - LEAST_SHARE) for one in results))


def _least(part: CallersPart) -> int:
    """With each result cut to its least share."""
    results = [result for one in part.rounds for result in one.results]
    shares = [replace(one, content=one.content[: LEAST_SHARE * CHARACTERS_A_TOKEN]) for one in results]
    cut = sum(min(tokens_of(ToolTurn((one,))), _FRAMED_SHARE) for one in shares)
    calls = sum(tokens_of(AssistantTurn(one.text, one.calls)) + _RENAMED * len(one.calls) for one in part.rounds)
    return cut + calls + sum(tool.tokens + _RENAMED for tool in part.tools.specs)


def told_before(spec: ModelSpec, part: CallersPart, stored: Past) -> Past:
    """What was said before the question: as the caller tells it, else as the dialog has it.

    The calls that are under way belong to the question: they are not history too.
    """
    if part.exchanges is None:
        under_way = len(set(part.answers_before))
        return replace(stored, exchanges=stored.exchanges[: max(0, len(stored.exchanges) - under_way)])
    return Past(
        tuple(
            replace(one, rounds=under_names(one.rounds, {}, f"{number}_") if spec.tools else ())
            for number, one in enumerate(part.exchanges)
        )
    )


def composed_for(part: CallersPart, spec: ModelSpec, past: Past, compose: Callable[[Past, Beside], Prompt]) -> Prompt:
    """The whole prompt: `compose` makes it of what was said before, and leaves room for what the caller brings."""
    return with_callers_part(compose(told_before(spec, part, past), beside(part)), part, spec)


def with_callers_part(prompt: Prompt, part: CallersPart, spec: ModelSpec) -> Prompt:
    """The oldest exchanges make room for it, then its longest results are cut."""
    tools = part.tools
    forced, silent = tools.choice.forces, tools.choice.kind is ChoiceKind.NONE
    # A program that forces a call of its tools gets one: the agent's own would be as good to the model.
    own = () if forced else _beside_callers(prompt.request, part, spec)
    # Vendors refuse calls of the past where no tool is offered at all.
    offered = () if silent and own else tools.specs
    names = {} if silent else tools.named_beside([spec.name for spec in own])
    shown = names or {spec.name: spec.name for spec in offered}
    # One that keeps its name keeps what was counted of it.
    named = zip(shown, offered, strict=True) if offered else ()
    callers = tuple(one if one.name == name else replace(one, name=name) for name, one in named)
    request = replace(
        prompt.request,
        tools=(*own, *callers),
        tool_choice=tools.choice if callers else AS_IT_LIKES,
        stop=part.stop,
        turns=(*prompt.request.turns, *_turns(under_names(part.rounds, names, "now_"))),
    )
    kept = {one.name: prompt.tools[one.name] for one in own}
    return replace(
        prompt,
        request=_within(request, spec),
        tools=kept,
        # Who tells the past needs no summary of it.
        load=prompt.load if part.exchanges is None else None,
        callers=names,
        one_at_a_time=tools.one_at_a_time,
    )


def _beside_callers(request: ModelRequest, part: CallersPart, spec: ModelSpec) -> tuple[ToolSpec, ...]:
    """The first of the agent's own tools, as far as there is room for them beside what the caller brings."""
    asked = replace(request, tools=(), turns=request.turns[-1:])
    used = request_tokens(asked) + _least(part)
    left = prompt_budget(spec.context_window, spec.max_output_tokens, used)
    own = request.tools[: MOST_TOOLS - len(part.tools.specs)]
    sizes = accumulate(one.tokens for one in own)
    return own[: sum(size <= left for size in sizes)]


def _turns(rounds: Sequence[ToolRound]) -> list[Turn]:
    turns: list[Turn] = []
    for one in rounds:
        turns += AssistantTurn(one.text, one.calls), ToolTurn(one.results)
    return turns


def _within(request: ModelRequest, spec: ModelSpec) -> ModelRequest:
    budget = prompt_budget(spec.context_window, request.max_output_tokens, 0)
    request = replace(request, turns=relieved(request.turns, request_tokens(request) - budget))
    over = request_tokens(request) - budget
    if over <= 0:
        return request
    results = [result for turn in request.turns if isinstance(turn, ToolTurn) for result in turn.results]
    room = sum(estimate(one.content) for one in results) - over
    contents = iter(fitted([one.content for one in results], max(0, room)))
    turns = tuple(
        ToolTurn(tuple(replace(one, content=next(contents)) for one in turn.results))
        if isinstance(turn, ToolTurn)
        else turn
        for turn in request.turns
    )
    return replace(request, turns=turns)
