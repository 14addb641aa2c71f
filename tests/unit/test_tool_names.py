"""Names of functions: valid for every vendor, never twice, and as they were where that is possible."""

import re

from hypothesis import given
from hypothesis import strategies as st

from domain.tools.tool_names import LONGEST, is_tool_name, tool_name, unique_names

VALID = re.compile(r"[a-zA-Z0-9_-]{1,64}\Z")
anything = st.text(max_size=200) | st.sampled_from(["find", "find_2", "find_3", "查询", "", "a" * 64, "a" * 65, "é"])
valid = st.from_regex(r"\A[a-zA-Z0-9_-]{1,64}\Z")


@given(anything)
def test_any_text_becomes_a_valid_name(text: str) -> None:
    assert VALID.match(tool_name(text))


@given(valid)
def test_a_valid_name_stays_as_it_is(name: str) -> None:
    assert is_tool_name(name)
    assert tool_name(name) == name


@given(st.lists(anything, max_size=30), st.sets(valid, max_size=5))
def test_no_two_names_are_alike_and_none_is_taken(wanted: list[str], taken: set[str]) -> None:
    names = unique_names(wanted, taken)
    assert len(names) == len(wanted)
    assert len(set(names) | taken) == len(names) + len(taken)
    assert all(map(VALID.match, names))


@given(st.lists(valid, unique=True, max_size=20))
def test_names_that_are_right_already_are_not_touched(wanted: list[str]) -> None:
    assert unique_names(wanted) == tuple(wanted)


@given(st.lists(anything, max_size=10), st.lists(anything, max_size=5))
def test_what_comes_behind_changes_no_name_before_it(wanted: list[str], more: list[str]) -> None:
    assert unique_names([*wanted, *more])[: len(wanted)] == unique_names(wanted)


def test_a_name_is_near_to_what_it_comes_from() -> None:
    assert tool_name("Créer un café!") == "Creer_un_cafe"
    assert tool_name("get /pets/{id}") == "get_pets_id"
    assert tool_name("查询天气") == "tool"
    assert tool_name("查询天气", otherwise="weather") == "weather"
    assert len(tool_name("x" * 1_000_000)) == LONGEST


def test_the_second_of_a_name_gets_a_number_also_where_it_is_long() -> None:
    assert unique_names(["find", "find", "find_2"]) == ("find", "find_2", "find_2_2")
    assert unique_names(["a" * 64, "a" * 64]) == ("a" * 64, "a" * 62 + "_2")


def test_a_thousand_of_one_name_are_no_trouble() -> None:
    assert len(set(unique_names(["x" * 64] * 5_000))) == 5_000
