"""A prompt with the caller's part in it keeps the model's window, whatever the caller brings."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from application.attachments import Attached
from application.callers_prompt import refuse_impossible, told_before, with_callers_part
from application.prompts import Prompt, compose
from domain.agents import Agent
from domain.callers import CallersPart, CallersTools, OfferedTool
from domain.conversation import AssistantTurn, ToolTurn, UserTurn, request_tokens
from domain.errors import ModelError
from domain.history import prompt_budget
from domain.ids import AgentId, ModelId
from domain.messages import Exchange
from domain.models import ModelSpec, Provider
from domain.past import Past
from domain.tool_choice import ChoiceKind, ToolChoice
from domain.tools import ToolCall, ToolResult, ToolRound

NOW = datetime(2026, 1, 1, tzinfo=UTC)
AGENT = Agent(AgentId("a"), None, "Ada", NOW, NOW, system_prompt="Be kind.")
SPEC = ModelSpec(ModelId("m"), Provider.OFFLINE, "m", context_window=4_000)
TOOL = OfferedTool("weather")
contents = st.builds(lambda word, times: word * times, st.sampled_from(["a b ", "中", "x"]), st.integers(0, 9_000))


@st.composite
def rounds(draw: st.DrawFn, mark: str) -> tuple[ToolRound, ...]:
    made = []
    for number in range(draw(st.integers(0, 4))):
        call = ToolCall(f"{mark}{number}", "weather", "{}")
        made.append(ToolRound("", (call,), (ToolResult(call.call_id, "weather", draw(contents)),)))
    return tuple(made)


exchanges = st.lists(st.builds(Exchange, contents, contents, rounds("past")), max_size=4).map(tuple)


def prompt_of(part: CallersPart, spec: ModelSpec = SPEC) -> Prompt:
    past = told_before(spec, part, Past())
    bare = compose(spec, AGENT, past, part.question, (), Attached(), Attached())
    return with_callers_part(bare, part, spec)


@settings(max_examples=40)
@given(exchanges, rounds("now"))
def test_it_fits_and_the_question_with_its_rounds_stays(told: tuple[Exchange, ...], now: tuple[ToolRound, ...]) -> None:
    part = CallersPart("Rain?", told, now, tools=CallersTools.of([TOOL], ToolChoice()))
    refuse_impossible(SPEC, AGENT, part)
    request = prompt_of(part).request
    assert request_tokens(request) <= prompt_budget(SPEC.context_window, None, 0)
    asked = max(at for at, turn in enumerate(request.turns) if isinstance(turn, UserTurn))
    assert request.turns[asked] == UserTurn("Rain?")
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


def test_calls_that_are_not_wanted_are_offered_where_the_past_has_some_and_nothing_else_is() -> None:
    silent = CallersTools.of([TOOL], ToolChoice(ChoiceKind.NONE))
    made = prompt_of(CallersPart("q", tools=silent))
    assert [one.name for one in made.request.tools] == ["weather"]
    assert made.request.tool_choice.kind is ChoiceKind.NONE
    assert made.callers == {}


def test_long_conversations_are_not_looked_at_while_others_wait() -> None:
    assert CallersPart("q", (Exchange("x" * 200_001, ""),)).is_long
    assert not CallersPart("q", (Exchange("x" * 1_000, ""),)).is_long
