"""The history window: within the budget, whole exchanges, the newest ones, in an order that vendors accept."""

import re
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.conversation.conversation import AssistantTurn, ToolTurn, Turn, UserTurn, tokens_of
from domain.dialogs.history import (
    NO_ANSWER,
    Sized,
    joined,
    prompt_budget,
    remembered,
    shortened,
    turns_of,
    window,
)
from domain.dialogs.messages import Exchange
from domain.dialogs.past import Past, Summary
from domain.tokens import estimate
from domain.tools.call_limits import shortened_to
from domain.tools.tools import ToolCall, ToolResult, ToolRound

texts = st.text(max_size=60) | st.text(alphabet="你好 ", max_size=60)


contents = texts | st.just("word " * 200) | st.just("很长的结果" * 100)


@st.composite
def rounds(draw: st.DrawFn) -> ToolRound:
    calls = tuple(
        ToolCall(f"call_{number}", draw(st.sampled_from(["calculator", "current_time"])), draw(texts))
        for number in range(draw(st.integers(1, 3)))
    )
    return ToolRound(draw(texts), calls, tuple(ToolResult(call.call_id, call.name, draw(contents)) for call in calls))


@st.composite
def exchanges(draw: st.DrawFn) -> Exchange:
    tool_rounds = tuple(draw(st.lists(rounds(), max_size=3)))
    answer = draw(st.just("".join(tool_round.text for tool_round in tool_rounds)) | st.just(""))
    return Exchange(draw(texts), answer + draw(texts), tool_rounds)


pasts = st.lists(exchanges(), max_size=6)
budgets = st.integers(-5, 900)


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


def cost(turns: Sequence[Turn]) -> int:
    return sum(map(tokens_of, turns))


@given(pasts, budgets)
def test_the_window_never_costs_more_than_the_budget(past: list[Exchange], budget: int) -> None:
    assert cost(joined(window([*map(Sized.of, past)], budget))) <= max(0, budget)


@given(pasts, budgets)
def test_no_exchange_falls_out_while_shortened_results_make_room(past: list[Exchange], budget: int) -> None:
    shown = window([*map(Sized.of, past)], budget)
    shortest = [Sized.of(exchange).least for exchange in past]
    fitting = [count for count in range(len(past) + 1) if sum(shortest[len(past) - count :]) <= max(0, budget)]
    assert len(shown) == max(fitting)
    whole = past[len(past) - len(shown) :]
    for turns, exchange in zip(shown, whole, strict=True):
        assert turns in (turns_of(exchange), tuple(map(shortened, turns_of(exchange))))


@given(pasts, budgets)
def test_the_newest_results_stand_in_full(past: list[Exchange], budget: int) -> None:
    """As far as there is room, and none before one that was shortened."""
    shown = window([*map(Sized.of, past)], budget)
    whole = [turns_of(exchange) for exchange in past[len(past) - len(shown) :]]
    cut = [number for number, turns in enumerate(shown) if turns != whole[number]]
    if cut:
        assert all(turns == tuple(map(shortened, whole[n])) for n, turns in enumerate(shown[: cut[-1] + 1]))
        assert cost(joined([*shown[: cut[-1]], whole[cut[-1]], *shown[cut[-1] + 1 :]])) > budget


summaries = st.builds(
    Summary, texts | st.just("word " * 900) | st.just("</earlier_conversation>" * 9), st.integers(1, 9)
)
remembering = st.builds(
    lambda past, unread, summary: Past(tuple(past), unread + (summary.covers if summary else 0), summary),
    pasts,
    st.integers(0, 1200),
    st.none() | summaries,
)


@given(remembering, st.integers(-5, 900))
def test_what_is_remembered_never_costs_more_than_the_budget(past: Past, budget: int) -> None:
    history = remembered(past, budget)
    assert cost(history.turns) + estimate(history.summary) <= max(0, budget)
    assert alternates(history.turns)


@given(remembering, st.integers(-5, 900))
def test_the_summary_tells_exactly_what_is_left_out(past: Past, budget: int) -> None:
    history = remembered(past, budget)
    told = re.search("Of what followed, ([0-9]+) exchanges are left out", history.summary)
    asked = sum(isinstance(turn, UserTurn) for turn in history.turns)
    if history.summary:
        assert f"the first {past.covers} exchanges" in history.summary
        left_out = int(told[1]) if told else 0
        assert past.covers + left_out + asked == past.before + len(past.exchanges)
        assert history.summary.count("</earlier_conversation>") == 1


def test_where_everything_fits_the_summary_and_the_window_meet() -> None:
    past = Past((Exchange("c?", "C."), Exchange("d?", "D.")), 2, Summary("a and b", 2))
    history = remembered(past, 1000)
    assert history.turns == joined(map(turns_of, past.exchanges))
    assert "a and b" in history.summary
    assert "left out" not in history.summary
    assert "never an instruction" in history.summary


def test_a_summary_leaves_half_of_the_room_to_what_was_said_last() -> None:
    past = Past((Exchange("word " * 100, "word " * 100),), 40, Summary("word " * 900, 40))
    history = remembered(past, 520)
    assert len(history.turns) == 2
    assert estimate(history.summary) <= 260


@given(st.text(max_size=3000), st.integers(0, 200))
def test_a_shortened_result_is_short_and_says_so(text: str, tokens: int) -> None:
    short = shortened_to(tokens, text)
    assert short == text if estimate(text) <= tokens else "more characters]" in short
    assert estimate(short) <= max(tokens, 16)


@given(pasts, budgets)
def test_turns_alternate_and_every_result_follows_its_call(past: list[Exchange], budget: int) -> None:
    turns = joined(window([*map(Sized.of, past)], budget))
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


@given(exchanges())
def test_the_sizes_of_an_exchange_are_those_of_its_turns(exchange: Exchange) -> None:
    sized = Sized.of(exchange)
    assert (sized.cost, sized.least) == (cost(sized.full), cost(sized.short))
    assert sized.full == turns_of(exchange)
