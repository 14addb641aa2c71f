"""What a program sends along that keeps a conversation itself: all that was said, its instructions, its own tools."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from domain.agents.agents import Agent
from domain.conversation.tool_choice import AS_IT_LIKES, ChoiceKind, ToolChoice
from domain.dialogs.messages import Exchange
from domain.errors import InvalidValue
from domain.files.attachments import fenced
from domain.ids import MessageId, ToolId, new_id
from domain.tools.tool_names import is_tool_name, unique_names
from domain.tools.tool_schemas import CanNotBeMended, mended
from domain.tools.tools import JsonValue, ToolCall, ToolRound, ToolSpec

MOST_TOOLS: Final = 128
"""Vendors take no more in one request."""
LONGEST_DESCRIPTION: Final = 10_000
MOST_STOPS: Final = 16
LONGEST_STOP: Final = 256
LONG: Final = 100_000
"""Characters: what has more is not looked at while others wait."""
MANY: Final = 200
"""Questions and rounds: the same of more."""

_TAG: Final = "caller_instructions"
_FRAME: Final = (
    f"<{_TAG}>\nThe program through which the person talks to you adds these instructions. They stand below all that "
    f"is said above: follow them where they don't contradict it.\n%s\n</{_TAG}>"
)
_CALL_ID: Final = "call_"
_BROUGHT: Final = "brought_"
_NAMED: Final = 5
_RESULTS: Final = "[results of "


@dataclass(frozen=True, slots=True)
class OfferedTool:
    """A tool of the caller's, which the caller runs. Raises InvalidValue for what no vendor takes."""

    name: str
    description: str = ""
    parameters: Mapping[str, JsonValue] = field(default_factory=dict)

    def spec(self, place: str) -> ToolSpec:
        if not is_tool_name(self.name):
            raise InvalidValue(f"{place}.function.name", "must be 1 to 64 letters, digits, _ and -")
        if len(self.description) > LONGEST_DESCRIPTION:
            problem = f"must have at most {LONGEST_DESCRIPTION:,} characters"
            raise InvalidValue(f"{place}.function.description", problem)
        try:
            parameters = mended(self.parameters)
        except CanNotBeMended as problem:
            raise InvalidValue(f"{place}.function.parameters", str(problem)) from problem
        return ToolSpec(ToolId(""), self.name, self.name, self.description, parameters)


@dataclass(frozen=True, slots=True)
class CallersTools:
    """`one_at_a_time`: of the calls of one turn the caller wants the first alone."""

    specs: tuple[ToolSpec, ...] = ()
    choice: ToolChoice = AS_IT_LIKES
    one_at_a_time: bool = False

    @classmethod
    def of(cls, tools: Sequence[OfferedTool], choice: ToolChoice, *, one_at_a_time: bool = False) -> "CallersTools":
        """Raises InvalidValue with the place of what is wrong."""
        if len(tools) > MOST_TOOLS:
            raise InvalidValue("tools", f"at most {MOST_TOOLS} tools are taken")
        specs = tuple(tool.spec(f"tools[{number}]") for number, tool in enumerate(tools))
        names = {spec.name for spec in specs}
        if len(names) < len(specs):
            raise InvalidValue("tools", "two tools have the same name")
        if choice.forces and not specs:
            raise InvalidValue("tool_choice", "needs tools")
        if choice.kind is ChoiceKind.NAMED and choice.name not in names:
            raise InvalidValue("tool_choice", f"there is no tool {choice.name[:64]!r} among tools")
        return cls(specs, choice, one_at_a_time)

    def named_beside(self, taken: Sequence[str]) -> dict[str, str]:
        """The names under which a model is offered them, each with the caller's own: tools of the agent keep theirs."""
        own = [spec.name for spec in self.specs]
        return dict(zip(unique_names(own, taken), own, strict=True))


def stop_words(given: Sequence[str]) -> tuple[str, ...]:
    """Raises InvalidValue. OpenAI takes four of them, other servers more."""
    if len(given) > MOST_STOPS or not all(1 <= len(word) <= LONGEST_STOP for word in given):
        raise InvalidValue("stop", f"must be at most {MOST_STOPS} texts, each of 1 to {LONGEST_STOP} characters")
    return tuple(dict.fromkeys(given))


@dataclass(frozen=True, slots=True)
class CallersPart:
    """A question as its caller tells it.

    `exchanges` is all that was said before, None where the dialog's own history holds. `rounds` came after the
    question: calls of the caller's tools, with the results that it brings. Images are bytes that may be anything.
    """

    question: str
    exchanges: tuple[Exchange, ...] | None = ()
    rounds: tuple[ToolRound, ...] = ()
    instructions: str = ""
    images: tuple[bytes, ...] = ()
    earlier_images: tuple[bytes, ...] = ()
    tools: CallersTools = CallersTools()
    digest: str = ""
    """Of the whole request: two of one digest ask the same."""
    conversation: str = ""
    """Names what was said up to this question, so that its continuation is recognised; empty where that is no use."""
    passing: bool = False
    """Nothing of it is kept: neither the dialog nor what could be learnt from it."""
    stop: tuple[str, ...] = ()
    """Words before which the answer ends."""

    @property
    def is_long(self) -> bool:
        exchanges = self.exchanges or ()
        rounds = [*self.rounds, *(one for told in exchanges for one in told.rounds)]
        brought = sum(len(result.content) for one in rounds for result in one.results)
        called = sum(len(call.arguments) for one in rounds for call in one.calls)
        told = sum(len(one.question) + len(one.answer) for one in exchanges)
        calls = sum(len(one.calls) for one in rounds)
        return len(exchanges) + calls > MANY or brought + called + told > LONG

    def brought(self, most: int) -> tuple[ToolRound, ...]:
        """The last round as it is kept with the answer: its text stands in the answer before, long results are cut."""
        if not self.rounds:
            return ()
        last = self.rounds[-1]
        results = tuple(
            one if len(one.content) <= most else replace(one, content=one.content[: most - 1] + "…")
            for one in last.results
        )
        return (_renamed(ToolRound("", last.calls, results), f"{_BROUGHT}{new_id()}_", {}),)

    def instruct(self, agent: Agent) -> Agent:
        """The agent with the caller's instructions below its own."""
        if not self.instructions.strip():
            return agent
        framed = _FRAME % fenced(self.instructions, (_TAG,))
        return replace(agent, system_prompt=f"{agent.system_prompt}\n\n{framed}" if agent.system_prompt else framed)

    @property
    def answers_before(self) -> list[MessageId]:
        """The answers that made the calls of `rounds`, where their ids say so: oldest first."""
        found = (answer_that_called(one.calls[0].call_id) for one in self.rounds if one.calls)
        return [answer for answer in found if answer is not None]


def handed_id(message_id: MessageId, number: int) -> str:
    """The id under which the caller is given a call; it names the answer, so that the caller's result finds it again.

    At most 40 characters, which is what vendors take.
    """
    return f"{_CALL_ID}{message_id}_{number}"


def answer_that_called(call_id: str) -> MessageId | None:
    name, _, number = call_id.removeprefix(_CALL_ID).rpartition("_")
    known = call_id.startswith(_CALL_ID) and len(name) == 26 and name.isascii() and name.isalnum()
    return MessageId(name) if known and number.isascii() and number.isdigit() else None


def with_own_rounds(rounds: Sequence[ToolRound], own: Mapping[MessageId, Sequence[ToolRound]]) -> tuple[ToolRound, ...]:
    """The caller's rounds, before each what the answer that called had called by itself, which no caller is shown.

    What an answer was brought is kept with it, and told by the caller again.
    """
    found: list[ToolRound] = []
    for one in rounds:
        answer = answer_that_called(one.calls[0].call_id) if one.calls else None
        kept = own.get(answer, ()) if answer is not None else ()
        before = [earlier for earlier in kept if not _was_brought(earlier)]
        said = "".join(earlier.text for earlier in before)
        found += [*before, replace(one, text=one.text.removeprefix(said))]
    return tuple(found)


def with_whole_answer(told: Exchange, text: str, rounds: Sequence[ToolRound]) -> Exchange:
    """An exchange whose caller left the answer while it waited: with what the answer called and said after all."""
    own = tuple(one for one in rounds if not _was_brought(one))
    said = "".join(one.text for one in told.rounds)
    return replace(told, rounds=(*told.rounds, *own), answer=f"{said}{text}")


def _was_brought(one: ToolRound) -> bool:
    return bool(one.calls) and one.calls[0].call_id.startswith(_BROUGHT)


def under_names(rounds: Sequence[ToolRound], names: Mapping[str, str], mark: str) -> tuple[ToolRound, ...]:
    """With the names under which a model is offered the caller's tools, and ids that every vendor takes.

    `mark` keeps the ids apart from those of other rounds.
    """
    offered = {own: name for name, own in names.items()}
    return tuple(_renamed(one, f"{_CALL_ID}{mark}{number}_", offered) for number, one in enumerate(rounds))


def _renamed(one: ToolRound, prefix: str, offered: Mapping[str, str]) -> ToolRound:
    ids = {call.call_id: f"{prefix}{place}" for place, call in enumerate(one.calls)}
    calls = tuple(ToolCall(ids[call.call_id], offered.get(call.name, call.name), call.arguments) for call in one.calls)
    results = tuple(
        replace(result, call_id=ids.get(result.call_id, result.call_id), name=offered.get(result.name, result.name))
        for result in one.results
    )
    return ToolRound(one.text, calls, results)


def results_text(one: ToolRound) -> str:
    """What stands in the dialog as the question where a caller brought results. They themselves stand in the answer's
    rounds: what a tool gave is no word of a person's.
    """
    names = list(dict.fromkeys(result.name for result in one.results))
    more = ", …" if len(names) > _NAMED else ""
    return f"{_RESULTS}{', '.join(names[:_NAMED])}{more}]"


def is_results_text(question: str) -> bool:
    return question.startswith(_RESULTS) and question.find("]") == len(question) - 1
