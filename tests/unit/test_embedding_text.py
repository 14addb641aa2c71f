"""A chunk is embedded with its content whole, and with little before it."""

from hypothesis import given
from hypothesis import strategies as st

from domain.knowledge.embedding_text import CONTEXT_MAX, FOUND_BY_MAX, NAME_MAX, context, embedding_text, found_by
from domain.knowledge.lexical import index_terms

TEXTS = st.text(max_size=400)
HEADINGS = st.lists(TEXTS, max_size=8)


@given(TEXTS, HEADINGS, TEXTS)
def test_the_content_is_whole_and_at_the_end(name: str, headings: list[str], content: str) -> None:
    assert embedding_text(name, headings, content) == f"{context(name, headings)}\n\n{content}"


@given(TEXTS, HEADINGS)
def test_what_stands_before_it_is_one_short_line(name: str, headings: list[str]) -> None:
    line = context(name, headings)
    assert len(line) <= CONTEXT_MAX
    assert len(line.splitlines()) <= 1


@given(st.text("abc", min_size=1, max_size=NAME_MAX), st.lists(st.text("xyz", min_size=1, max_size=200), max_size=8))
def test_the_innermost_headings_that_have_room_are_kept_in_order(name: str, headings: list[str]) -> None:
    shown = context(name, headings).split(" > ")
    assert shown[0] == name
    kept = shown[1:]
    if headings:
        assert kept
        assert headings[-1].startswith(kept[-1])
        assert len(kept) == 1 or kept == headings[-len(kept) :]
        longer = [name, *headings[-len(kept) - 1 :]]
        assert len(kept) == len(headings) or len(" > ".join(longer)) > CONTEXT_MAX


def test_headings_without_words_take_no_room() -> None:
    assert context("a.md", ["Part one", " \n", "Wind\nturbines"]) == "a.md > Part one > Wind turbines"


SHORT = st.lists(st.text(max_size=FOUND_BY_MAX // 8), max_size=8)


@given(SHORT, TEXTS)
def test_a_chunk_is_found_by_its_words_and_those_of_its_headings(headings: list[str], content: str) -> None:
    found = found_by(headings, content)
    assert found[len(found) - len(index_terms(content)) :] == index_terms(content)
    assert set(found) == {term for text in (*headings, content) for term in index_terms(text)}


@given(st.lists(st.text("\u6807\u9898ab ", max_size=2 * FOUND_BY_MAX), max_size=8), TEXTS)
def test_long_headings_do_not_outweigh_what_stands_below_them(headings: list[str], content: str) -> None:
    found, own = found_by(headings, content), index_terms(content)
    of_headings = found[: len(found) - len(own)]
    assert len(of_headings) <= 2 * FOUND_BY_MAX
    nearest = index_terms(headings[-1][:FOUND_BY_MAX]) if headings else []
    assert of_headings[len(of_headings) - len(nearest) :] == nearest
