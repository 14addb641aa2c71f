"""A prompt with the caller's part in it keeps the model's window, whatever the caller brings."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from application.chat.attachments import Attached
from application.chat.callers_prompt import composed_for, refuse_impossible, told_before
from application.chat.prompts import Beside, Prompt, compose
from application.ports.tool_runner import ToolOutput
from domain.agents.agents import Agent
from domain.chat.callers import CallersPart, CallersTools, OfferedTool
from domain.conversation.conversation import AssistantTurn, ToolTurn, UserTurn, request_tokens
from domain.conversation.tool_choice import ChoiceKind, ToolChoice
from domain.dialogs.history import prompt_budget
from domain.dialogs.messages import Exchange
from domain.dialogs.past import Past, Summary
from domain.errors import ModelError
from domain.ids import AgentId, KnowledgeFileId, KnowledgeId, ModelId, ToolId
from domain.knowledge.retrieval import Passage
from domain.models.models import ModelSpec, Provider
from domain.tools.tools import JsonValue, ToolCall, ToolResult, ToolRound, ToolSpec

NOW = datetime(2026, 1, 1, tzinfo=UTC)
AGENT = Agent(AgentId("a"), None, "Ada", NOW, NOW, system_prompt="Be kind.")
SPEC = ModelSpec(ModelId("m"), Provider.OFFLINE, "m", context_window=4_000)
TOOL = OfferedTool("weather")
LOOK = ToolSpec(ToolId("look"), "look", "Look", "Looks.", {"type": "object", "properties": {}})
PASSAGE = Passage("alpha beta gamma " * 80, 0.5, KnowledgeId("k"), KnowledgeFileId("f"), "a.txt", None, 0, 10)
ARGUMENTS = ["{}", json.dumps({"content": "word " * 700}), json.dumps({"content": "word " * 1_500})]
contents = st.builds(lambda word, times: word * times, st.sampled_from(["a b ", "中", "x"]), st.integers(0, 9_000))

Composing = Callable[[Past, Beside], Prompt]


@dataclass(frozen=True)
class Runner:
    spec: ToolSpec

    async def run(self, arguments: Mapping[str, JsonValue]) -> ToolOutput:
        return ToolOutput(repr(arguments))


@st.composite
def rounds(draw: st.DrawFn, mark: str) -> tuple[ToolRound, ...]:
    made = []
    for number in range(draw(st.integers(0, 4))):
        call = ToolCall(f"{mark}{number}", "weather", draw(st.sampled_from(ARGUMENTS)))
        made.append(ToolRound("", (call,), (ToolResult(call.call_id, "weather", draw(contents)),)))
    return tuple(made)


pasts = st.builds(
    lambda past, summary: Past(past, summary and 50, Summary("fact. " * summary, 50) if summary else None),
    st.lists(st.builds(Exchange, contents, contents), max_size=9).map(tuple),
    st.sampled_from([0, 400]),
)
exchanges = st.lists(st.builds(Exchange, contents, contents, rounds("past")), max_size=4).map(tuple)


def prompt_of(part: CallersPart, spec: ModelSpec = SPEC, past: Past = Past()) -> Prompt:
    return composed_for(part, spec, past, composing(spec, (), None))


def composing(spec: ModelSpec, memories: Sequence[str], found: Sequence[Passage] | None, *own: Runner) -> Composing:
    def composed(past: Past, beside: Beside) -> Prompt:
        return compose(spec, AGENT, past, "Rain?", own, Attached(), Attached(), found, memories, beside)

    return composed


@settings(max_examples=80)
@given(st.none() | exchanges, rounds("now"), pasts, st.data())
def test_it_fits_and_the_question_with_its_rounds_stays(
    told: tuple[Exchange, ...] | None, now: tuple[ToolRound, ...], past: Past, data: st.DataObject
) -> None:
    offered = [OfferedTool("weather", "word " * data.draw(st.sampled_from([0, 500, 1_200]))), OfferedTool("look")]
    choice = data.draw(st.sampled_from([ToolChoice(), ToolChoice(ChoiceKind.NONE), ToolChoice(ChoiceKind.REQUIRED)]))
    memories = ["The user likes it very much indeed, as they said."] * data.draw(st.integers(0, 60))
    found = data.draw(st.none() | st.just([replace(PASSAGE, start=n) for n in range(9)]))
    own = [Runner(replace(LOOK, description="word " * words)) for words in data.draw(st.sampled_from([(), (9, 700)]))]
    part = CallersPart("Rain?", told, now, tools=CallersTools.of(offered, choice))
    try:
        refuse_impossible(SPEC, AGENT, part)
    except ModelError:
        return
    request = composed_for(part, SPEC, past, composing(SPEC, memories, found, *own)).request
    assert request_tokens(request) <= prompt_budget(SPEC.context_window, None, 0)
    asked = max(at for at, turn in enumerate(request.turns) if isinstance(turn, UserTurn))
    question = request.turns[asked]
    assert isinstance(question, UserTurn)
    assert question.text.endswith("Rain?")
    assert len(request.turns) - asked - 1 == 2 * len(now)
    assert isinstance(request.turns[0], UserTurn)
    ids = [call.call_id for turn in request.turns if isinstance(turn, AssistantTurn) for call in turn.tool_calls]
    answered = [one.call_id for turn in request.turns if isinstance(turn, ToolTurn) for one in turn.results]
    assert ids == answered
    assert len(set(ids)) == len(ids)


def test_what_can_not_fit_at_all_is_refused_before_anything_is_stored() -> None:
    for part in (
        CallersPart("中" * 4_000),
        CallersPart("q", rounds=(ToolRound("", (ToolCall("c", "f", '{"a": "' + "中" * 4_000 + '"}'),), ()),)),
        CallersPart("q", tools=CallersTools.of([OfferedTool("f", "中" * 4_000)], ToolChoice())),
        CallersPart("q", images=(b"",) * 3),
    ):
        with pytest.raises(ModelError) as refused:
            refuse_impossible(SPEC, AGENT, part)
        assert refused.value.code == "context_too_long"


def test_a_model_without_tools_is_told_the_words_of_the_past_alone() -> None:
    call = ToolCall("c", "f", "{}")
    past = (Exchange("q", "so a", (ToolRound("so ", (call,), (ToolResult("c", "f", "r"),)),)),)
    told = told_before(replace(SPEC, tools=False), CallersPart("q", past), Past())
    assert told == Past((Exchange("q", "so a"),))


def test_who_tells_the_past_needs_no_summary_of_it() -> None:
    assert prompt_of(CallersPart("q", ())).load is None
    assert prompt_of(CallersPart("q", None)).load is not None


def test_the_agent_s_own_tools_give_way_where_the_caller_s_leave_them_no_room() -> None:
    own = [Runner(replace(LOOK, name=name, description="word " * 350)) for name in ("first", "second")]
    tools = CallersTools.of([OfferedTool("weather", "word " * 1_400)], ToolChoice())
    part = CallersPart("Rain?", tools=tools)
    made = composed_for(part, SPEC, Past(), composing(SPEC, (), None, *own))
    assert [one.name for one in made.request.tools] == ["first", "weather"]
    assert list(made.tools) == ["first"]


def test_what_has_no_room_beside_the_caller_s_tools_is_summed_up() -> None:
    """In a named dialog: what fell out would be told nowhere."""
    past = Past(tuple(Exchange(f"question {number} " + "word " * 20, "answer " * 20) for number in range(20)))
    tools = CallersTools.of([OfferedTool(f"t{number}", "word " * 100) for number in range(18)], ToolChoice())
    named = CallersPart("Rain?", None, tools=tools)
    alone, beside = prompt_of(CallersPart("Rain?", None), past=past), prompt_of(named, past=past)
    assert alone.load is not None
    assert alone.load.due(50) is None
    assert beside.load is not None
    told = sum(isinstance(turn, UserTurn) for turn in beside.request.turns) - 1
    due = beside.load.due(50)
    assert due is not None
    assert due >= len(past.exchanges) - told > 0


def test_results_of_this_question_go_before_the_past_which_is_summed_up_then() -> None:
    past = Past(tuple(Exchange("word " * 40, "word " * 40) for _ in range(10)), 5, Summary("The code is 7.", 5))
    call = ToolCall("c", "weather", "{}")
    long = ToolRound("", (call,), (ToolResult("c", "weather", "rain " * 9_000),))
    made = prompt_of(CallersPart("Rain?", None, (long,), tools=CallersTools.of([TOOL], ToolChoice())), past=past)
    (question,) = [turn for turn in made.request.turns if isinstance(turn, UserTurn)]
    assert "The code is 7." in question.text
    assert made.load is not None
    assert made.load.due(50) == 15


def test_calls_that_are_not_wanted_are_offered_where_the_past_has_some_and_nothing_else_is() -> None:
    silent = CallersTools.of([TOOL], ToolChoice(ChoiceKind.NONE))
    made = prompt_of(CallersPart("q", tools=silent))
    assert [one.name for one in made.request.tools] == ["weather"]
    assert made.request.tool_choice.kind is ChoiceKind.NONE
    assert made.callers == {}


def test_long_conversations_are_not_looked_at_while_others_wait() -> None:
    assert CallersPart("q", (Exchange("x" * 100_001, ""),)).is_long
    assert CallersPart("q", (Exchange("x", ""),) * 201).is_long
    called = ToolRound("", (ToolCall("c", "f", "{}"),), (ToolResult("c", "f", "r"),))
    assert CallersPart("q", rounds=(called,) * 201).is_long
    assert CallersPart("q", (Exchange("x", "", (called,) * 201),)).is_long
    assert not CallersPart("q", (Exchange("x" * 1_000, ""),) * 20, (called,) * 20).is_long
