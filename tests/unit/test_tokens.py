"""The token estimate: the same for the same text, and lawful under joining."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.tokens import estimate

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


@given(texts)
def test_a_text_costs_between_a_quarter_of_its_characters_and_all_of_them(text: str) -> None:
    assert len(text) / 4 <= estimate(text) <= len(text)


@given(st.text(alphabet=st.characters(max_codepoint=127)))
def test_ascii_takes_the_same_way_as_the_rest(text: str) -> None:
    assert estimate(text) == estimate(text + "中") - 1
