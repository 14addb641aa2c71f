"""The history window: within the budget, whole exchanges, the newest ones, in an order that vendors accept."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.conversation import AssistantTurn, ToolTurn, Turn, UserTurn, tokens_of
from domain.history import NO_ANSWER, prompt_budget, turns_of, window
from domain.messages import Exchange
from domain.tools import ToolCall, ToolResult, ToolRound

texts = st.text(max_size=60) | st.text(alphabet="你好 ", max_size=60)


@st.composite
def rounds(draw: st.DrawFn) -> ToolRound:
    calls = tuple(
        ToolCall(f"call_{number}", draw(st.sampled_from(["calculator", "current_time"])), draw(texts))
        for number in range(draw(st.integers(1, 3)))
    )
    return ToolRound(draw(texts), calls, tuple(ToolResult(call.call_id, call.name, draw(texts)) for call in calls))


@st.composite
def exchanges(draw: st.DrawFn) -> Exchange:
    tool_rounds = tuple(draw(st.lists(rounds(), max_size=3)))
    answer = draw(st.just("".join(tool_round.text for tool_round in tool_rounds)) | st.just(""))
    return Exchange(draw(texts), answer + draw(texts), tool_rounds)


pasts = st.lists(exchanges(), max_size=6)
budgets = st.integers(-5, 400)


def alternates(turns: Sequence[Turn]) -> bool:
    follows = {UserTurn: (AssistantTurn,), AssistantTurn: (ToolTurn, UserTurn), ToolTurn: (AssistantTurn,)}
    pairs = pairwise(turns)
    ends = not turns or (isinstance(turns[0], UserTurn) and isinstance(turns[-1], AssistantTurn))
    return ends and all(isinstance(later, follows[type(earlier)]) for earlier, later in pairs)


def test_an_exchange_without_tools_is_question_and_answer() -> None:
    assert turns_of(Exchange("Hi?", "Hi.")) == (UserTurn("Hi?"), AssistantTurn("Hi."))


def test_the_text_of_tool_rounds_is_not_said_twice() -> None:
    call, result = ToolCall("1", "calculator", '{"expression":"1+1"}'), ToolResult("1", "calculator", "2")
    exchange = Exchange("1+1?", "Let me see. It is 2.", (ToolRound("Let me see. ", (call,), (result,)),))
    assert turns_of(exchange) == (
        UserTurn("1+1?"),
        AssistantTurn("Let me see. ", (call,)),
        ToolTurn((result,)),
        AssistantTurn("It is 2."),
    )


def test_an_answer_that_does_not_begin_with_its_rounds_is_kept_whole() -> None:
    exchange = Exchange("?", "Other text.", (ToolRound("Let me see.", (), ()),))
    assert turns_of(exchange)[-1] == AssistantTurn("Other text.")


@pytest.mark.parametrize("answer", ["", " \n"])
def test_an_answer_without_text_becomes_a_placeholder(answer: str) -> None:
    assert turns_of(Exchange("?", answer))[-1] == AssistantTurn(NO_ANSWER)


@given(pasts, budgets)
def test_the_window_never_costs_more_than_the_budget(past: list[Exchange], budget: int) -> None:
    assert sum(map(tokens_of, window(past, budget))) <= max(0, budget)


@given(pasts, budgets)
def test_the_window_is_the_longest_suffix_of_whole_exchanges(past: list[Exchange], budget: int) -> None:
    suffixes = [
        tuple(turn for exchange in past[start:] for turn in turns_of(exchange)) for start in range(len(past) + 1)
    ]
    fitting = [turns for turns in suffixes if not turns or sum(map(tokens_of, turns)) <= budget]
    assert window(past, budget) == fitting[0]


@given(pasts, budgets)
def test_turns_alternate_and_every_result_follows_its_call(past: list[Exchange], budget: int) -> None:
    turns = window(past, budget)
    assert alternates(turns)
    for earlier, later in pairwise(turns):
        if isinstance(earlier, AssistantTurn):
            results = later.results if isinstance(later, ToolTurn) else ()
            assert [call.call_id for call in earlier.tool_calls] == [result.call_id for result in results]


@given(exchanges())
def test_the_turns_say_the_whole_answer(exchange: Exchange) -> None:
    said = "".join(turn.text for turn in turns_of(exchange) if isinstance(turn, AssistantTurn))
    assert exchange.answer.strip() in said


@given(st.integers(0, 200_000), st.none() | st.integers(0, 200_000), st.integers(0, 200_000))
def test_history_answer_and_fixed_part_fit_into_the_window(size: int, answer: int | None, fixed: int) -> None:
    budget = prompt_budget(size, answer, fixed)
    assert budget >= 0
    assert budget == 0 or budget + (answer or 0) + fixed <= size


def test_without_a_limit_a_quarter_of_a_small_window_is_kept_for_the_answer() -> None:
    assert prompt_budget(8_000, None, 1_000) == 8_000 - 800 - 2_000 - 1_000
    assert prompt_budget(200_000, None, 1_000) == 200_000 - 20_000 - 4_096 - 1_000
