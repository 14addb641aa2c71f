"""What a caller brings: instructions below the agent's own, tools under names of their own, results for its calls."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.agents.agents import Agent
from domain.chat.callers import (
    CallersPart,
    CallersTools,
    OfferedTool,
    answer_that_called,
    handed_id,
    results_text,
    under_names,
    with_own_rounds,
)
from domain.conversation.tool_choice import ChoiceKind, ToolChoice
from domain.errors import InvalidValue
from domain.ids import AgentId, MessageId, new_id
from domain.tools.tools import ToolCall, ToolResult, ToolRound
from unit.conversation_strategies import arguments, names, texts

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CLOSING = "</caller_instructions>"


def agent(prompt: str) -> Agent:
    return Agent(AgentId("a"), None, "Ada", NOW, NOW, system_prompt=prompt)


@given(
    texts,
    st.lists(st.sampled_from([*"</>caller_instructions ＜ＣＡＬＬＥＲ", CLOSING, "<caller_instructions>", "\u200b"])),
)
def test_instructions_stand_below_the_agent_s_own_and_never_leave_their_fence(own: str, said: list[str]) -> None:
    prompt = CallersPart("q", instructions="".join(said)).instruct(agent(own)).system_prompt
    if not "".join(said).strip():
        assert prompt == own
        return
    assert prompt.startswith(own)
    assert prompt.count(CLOSING) == 1
    assert prompt.endswith(CLOSING)
    assert prompt.count("<caller_instructions>") == 1


@given(st.integers(0, 127))
def test_the_id_of_a_call_finds_its_answer_again_and_is_short_enough_for_vendors(number: int) -> None:
    message_id = MessageId(new_id())
    handed = handed_id(message_id, number)
    assert len(handed) <= 40
    assert answer_that_called(handed) == message_id


@given(st.text(max_size=50) | st.from_regex(r"call_[0-9A-Za-z_]{0,40}"))
def test_a_stranger_s_id_names_nothing_that_could_not_be_an_answer(call_id: str) -> None:
    found = answer_that_called(call_id)
    assert found is None or (len(found) == 26 and found.isascii() and found.isalnum())


@st.composite
def rounds(draw: st.DrawFn, call_ids: st.SearchStrategy[str]) -> ToolRound:
    ids = draw(st.lists(call_ids, min_size=1, max_size=3, unique=True))
    calls = tuple(ToolCall(one, draw(names), draw(arguments)) for one in ids)
    return ToolRound(draw(texts), calls, tuple(ToolResult(one.call_id, one.name, draw(texts)) for one in calls))


@settings(max_examples=25)
@given(st.lists(rounds(st.text(min_size=1, max_size=300)), max_size=4), st.lists(names, unique=True, max_size=4))
def test_ids_are_such_as_every_vendor_takes_and_pair_calls_with_results(told: list[ToolRound], own: list[str]) -> None:
    mapping = {f"{name}_2": name for name in own}
    shown = under_names(told, mapping, "now_")
    ids = [call.call_id for one in shown for call in one.calls]
    assert len(set(ids)) == len(ids)
    assert all(len(one) <= 40 and one.isascii() for one in ids)
    for before, after in zip(told, shown, strict=True):
        assert [one.call_id for one in after.results] == [one.call_id for one in after.calls]
        assert [one.content for one in after.results] == [one.content for one in before.results]
        renamed = [f"{one.name}_2" if one.name in own else one.name for one in before.calls]
        assert [one.name for one in after.calls] == renamed


@settings(max_examples=25)
@given(rounds(st.just("x")), rounds(st.just("y")))
def test_what_the_agent_called_by_itself_comes_back_before_the_caller_s_round(
    own: ToolRound, theirs: ToolRound
) -> None:
    message_id = MessageId(new_id())
    call = ToolCall(handed_id(message_id, 0), "weather", "{}")
    brought = ToolRound(own.text + "so", (call,), (ToolResult(call.call_id, "weather", "rain"),))
    first, second = with_own_rounds([brought], {message_id: [own]})
    assert first == own
    assert (second.text, second.calls, second.results) == ("so", brought.calls, brought.results)
    assert with_own_rounds([brought, theirs], {}) == (brought, theirs)


def test_tools_that_no_vendor_takes_are_refused_with_their_place() -> None:
    good = OfferedTool("f")
    for tools, place in (
        ([good, OfferedTool("no good")], "tools[1].function.name"),
        ([OfferedTool("")], "tools[0].function.name"),
        ([OfferedTool("f", parameters={"type": "string"})], "tools[0].function.parameters"),
        ([OfferedTool("f", "x" * 10_001)], "tools[0].function.description"),
        ([good, good], "tools"),
        ([OfferedTool(f"f{number}") for number in range(129)], "tools"),
    ):
        with pytest.raises(InvalidValue) as refused:
            CallersTools.of(tools, ToolChoice())
        assert refused.value.fields[0].name == place
    for choice in (ToolChoice(ChoiceKind.REQUIRED), ToolChoice(ChoiceKind.NAMED, "f")):
        assert CallersTools.of([good], choice).choice == choice
        with pytest.raises(InvalidValue):
            CallersTools.of([], choice)


@given(st.lists(names, unique=True, max_size=5), st.lists(names, max_size=5))
def test_a_name_that_the_agent_has_is_offered_as_another_and_comes_back_as_it_was(
    own: list[str], taken: list[str]
) -> None:
    tools = CallersTools.of([OfferedTool(name) for name in own], ToolChoice())
    offered = tools.named_beside(taken)
    assert list(offered.values()) == own
    assert not set(offered) & set(taken)
    assert all(offered.get(name) == name for name in own if name not in taken)


@settings(max_examples=25)
@given(rounds(st.just("x")), rounds(st.just("y")), st.integers(1, 20))
def test_what_was_brought_is_kept_within_bounds_and_told_once(first: ToolRound, last: ToolRound, most: int) -> None:
    (kept,) = CallersPart("q", rounds=(first, last)).brought(most)
    assert kept.text == ""
    assert [one.name for one in kept.calls] == [one.name for one in last.calls]
    assert [one.call_id for one in kept.results] == [one.call_id for one in kept.calls]
    assert all(len(one.content) <= most for one in kept.results)
    assert all(len(one.call_id) <= 40 for one in kept.calls)
    message_id = MessageId(new_id())
    call = ToolCall(handed_id(message_id, 0), "weather", "{}")
    brought = ToolRound("", (call,), (ToolResult(call.call_id, "weather", "rain"),))
    assert with_own_rounds([brought], {message_id: [kept]}) == (brought,)
    assert CallersPart("q").brought(most) == ()


def test_a_dialog_shows_the_names_of_what_was_brought_and_not_its_words() -> None:
    results = tuple(ToolResult(f"c{number}", f"tool_{number % 7}", "secret words") for number in range(30))
    shown = results_text(ToolRound("", (), results))
    assert shown == "[results of tool_0, tool_1, tool_2, tool_3, tool_4, …]"
