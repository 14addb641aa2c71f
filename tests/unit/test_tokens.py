"""The token estimate: the same for the same text, and lawful under joining."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.conversation.conversation import (
    AssistantTurn,
    ModelRequest,
    ToolTurn,
    Turn,
    UserTurn,
    request_tokens,
    tokens_of,
)
from domain.ids import ToolId
from domain.tokens import (
    CHARACTERS_A_TOKEN,
    MOST_TOKENS,
    RunningEstimate,
    beginning,
    estimate,
    quarters,
    reach,
    reported,
)
from domain.tools.tools import ToolCall, ToolResult, ToolSpec

texts = st.text() | st.text(alphabet="ab 中文かな한글！🙂é")


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        ("a", 1),
        ("abcd", 1),
        ("abcde", 2),
        ("é" * 8, 2),
        ("你好", 2),
        ("カタカナ", 4),
        ("한국어", 3),
        ("，！", 2),
        ("你好 abcd", 4),
        ("🙂", 1),
        ("𠀀", 1),
    ],
)
def test_wide_characters_are_a_token_each_and_four_others_one(text: str, tokens: int) -> None:
    assert estimate(text) == tokens


@given(texts, texts)
def test_joining_texts_costs_at_most_their_sum_and_at_least_each(left: str, right: str) -> None:
    assert max(estimate(left), estimate(right)) <= estimate(left + right) <= estimate(left) + estimate(right)


@given(texts, st.integers(0, 40), st.integers(0, 60), st.integers(0, 30))
def test_a_piece_reaches_as_far_as_its_tokens_allow(text: str, start: int, stop: int, tokens: int) -> None:
    stop = min(stop, len(text))
    start = min(start, stop)
    end = reach(text, start, stop, tokens)
    assert start <= end <= stop
    assert estimate(text[start:end]) <= tokens
    assert end == stop or estimate(text[start : end + 1]) > tokens


@given(texts, texts)
def test_quarters_of_tokens_add_up_and_are_the_estimate(left: str, right: str) -> None:
    assert quarters(left + right) == quarters(left) + quarters(right)
    assert estimate(left) == -(-quarters(left) // 4)


@given(texts)
def test_a_text_costs_between_a_quarter_of_its_characters_and_all_of_them(text: str) -> None:
    assert len(text) / 4 <= estimate(text) <= len(text)


@given(st.text(alphabet=st.characters(max_codepoint=127)))
def test_ascii_takes_the_same_way_as_the_rest(text: str) -> None:
    assert estimate(text) == estimate(text + "中") - 1


@given(st.lists(texts))
def test_a_text_in_pieces_is_estimated_like_the_whole(pieces: list[str]) -> None:
    running = RunningEstimate()
    for piece in pieces:
        running.add(piece)
    assert running.tokens == estimate("".join(pieces))


@given(texts, st.integers(-3, 12))
def test_a_beginning_is_the_longest_that_fits(text: str, tokens: int) -> None:
    start = beginning(text, tokens)
    assert text.startswith(start)
    assert estimate(start) == min(max(tokens, 0), estimate(text))
    assert start == text or estimate(text[: len(start) + 1]) > max(tokens, 0)
    assert start == beginning(text[: CHARACTERS_A_TOKEN * max(tokens, 0)], tokens)


@given(st.one_of(st.integers(), st.booleans(), st.none(), st.text(), st.floats()))
def test_a_reported_count_fits_what_stores_it(value: object) -> None:
    count = reported(value)
    assert (count is None) == (type(value) is not int)
    assert 0 <= (count or 0) <= MOST_TOKENS


def test_the_parts_of_a_request_add_up() -> None:
    call, result = ToolCall("1", "calculator", '{"x":1}'), ToolResult("1", "calculator", "2")
    turns: tuple[Turn, ...] = (UserTurn("1+1?"), AssistantTurn("", (call,)), ToolTurn((result,)))
    assert [tokens_of(turn) for turn in turns] == [5, 13, 5]
    spec = ToolSpec(ToolId("calculator"), "calculator", "Calculator", "Exact.", {"type": "object"})
    assert request_tokens(ModelRequest("m", "four", turns, (spec,))) == 1 + spec.tokens + 23
