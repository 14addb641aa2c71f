"""Lexical ranking: whoever shares the rarer words comes first, in any script."""

from hypothesis import given
from hypothesis import strategies as st

from domain.knowledge.lexical import best, index_terms, terms

words = st.sampled_from(["alpha", "beta", "gamma", "delta", "北京", "天气", "x1"])
sentences = st.lists(words, max_size=12).map(" ".join)
anything = st.text(max_size=80) | sentences


@given(st.lists(anything, max_size=8), anything, st.integers(-1, 10))
def test_only_texts_that_share_a_term_are_found(texts: list[str], query: str, limit: int) -> None:
    found = best(query, texts, limit)
    sharing = [number for number, text in enumerate(texts) if set(terms(text)) & set(terms(query))]
    assert len(found) == len(set(found)) == min(len(sharing), max(0, limit))
    assert set(found) <= set(sharing)


@given(st.lists(sentences, min_size=1, max_size=8), sentences, st.permutations(range(8)))
def test_the_order_of_words_in_a_query_does_not_matter(texts: list[str], query: str, order: list[int]) -> None:
    shuffled = " ".join(sorted(query.split(), key=lambda word: order[len(word) % 8]))
    assert best(query, texts, 8) == best(shuffled, texts, 8)


@given(anything)
def test_case_and_width_make_no_difference(text: str) -> None:
    assert terms(text.upper()) == terms(text.upper().lower().upper())
    assert terms("ＡＢＣ　１２") == terms("abc 12") == ["abc", "12"]


def test_neighbouring_characters_of_chinese_are_terms() -> None:
    assert terms("北京天气, 好") == ["北京", "京天", "天气", "好"]


@given(anything)
def test_chunks_are_found_by_their_terms_and_by_each_character_of_chinese(text: str) -> None:
    found = index_terms(text)
    assert found[: len(terms(text))] == terms(text)
    assert all(len(one) == 1 for one in found[len(terms(text)) :])


def test_a_question_may_share_a_single_character_with_its_answer() -> None:
    assert index_terms("键盘 x, 好") == ["键盘", "x", "好", "键", "盘"]
    assert set(index_terms("按哪个键")) & set(index_terms("快捷键一览")) == {"键"}


def test_a_plural_is_the_same_term() -> None:
    assert terms("Files links") == terms("file LINK")
    assert terms("class status this gas") == ["class", "status", "this", "gas"]


@given(st.from_regex(r"[a-z]{1,8}s?", fullmatch=True))
def test_a_term_begins_its_word(word: str) -> None:
    assert word.startswith(terms(word)[0])
    assert len(word) - len(terms(word)[0]) <= 1


def test_the_rare_word_decides() -> None:
    texts = ["the cat sat", "the dog sat", "the cat and the zebra"]
    assert best("the zebra", texts, 1) == [2]


def test_a_short_text_comes_before_a_long_one_with_the_same_word() -> None:
    assert best("apple", ["apple " + "pear " * 100, "apple"], 2) == [1, 0]


def test_nothing_is_found_in_nothing() -> None:
    assert best("apple", [], 3) == []
    assert best("", ["", "!!"], 3) == []
