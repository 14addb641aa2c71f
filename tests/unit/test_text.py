"""One place cleans all text that people send."""

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from domain.errors import InvalidValue
from domain.text import block, line, search_key, storable

ANY_TEXT = st.text(st.characters(codec=None), max_size=80)


@given(ANY_TEXT, st.integers(0, 5), st.integers(5, 60))
@example("\u0344" * 30, 0, 60)
@example("  é ", 1, 5)
def test_a_line_is_either_refused_or_clean(raw: str, minimum: int, maximum: int) -> None:
    try:
        cleaned = line("name", raw, minimum=minimum, maximum=maximum)
    except InvalidValue as error:
        assert [field.name for field in error.fields] == ["name"]  # noqa: PT017
        return
    assert minimum <= len(cleaned) <= maximum
    assert cleaned == cleaned.strip()
    assert unicodedata.is_normalized("NFC", cleaned)
    assert not any(unicodedata.category(char) in {"Cc", "Cs"} for char in cleaned)
    cleaned.encode()


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=60))
def test_cleaning_a_line_twice_changes_nothing(raw: str) -> None:
    once = line("name", raw, maximum=1000)
    assert line("name", once, maximum=1000) == once


@pytest.mark.parametrize("raw", ["a\x00b", "a\nb", "a\tb", "\u2028a\u2028b", "a\ud800", "\x7fa", "a\x85b"])
def test_a_line_has_no_control_characters(raw: str) -> None:
    with pytest.raises(InvalidValue, match="control characters"):
        line("name", raw, maximum=20)


@pytest.mark.parametrize("raw", ["👩‍👩‍👧‍👦", "שלום", "مرحبا", "你好", "e\u0301", "नमस्ते", "-" * 20])
def test_a_line_holds_every_script(raw: str) -> None:
    assert line("name", raw, minimum=1, maximum=20) == unicodedata.normalize("NFC", raw)


@pytest.mark.parametrize("raw", ["", " ", "\n", "\u3000"])
def test_a_required_line_is_more_than_blanks(raw: str) -> None:
    with pytest.raises(InvalidValue, match="must have 1 to 20 characters, has 0"):
        line("name", raw, minimum=1, maximum=20)


def test_an_endless_line_is_refused_without_being_normalised() -> None:
    with pytest.raises(InvalidValue, match="has 10000000"):
        line("name", "e\u0301" * 5_000_000, maximum=20)


@given(ANY_TEXT)
def test_a_block_is_refused_or_kept_as_it_is(raw: str) -> None:
    try:
        assert block("prompt", raw, maximum=70) == raw
    except InvalidValue:
        assert len(raw) > 70 or "\x00" in raw or any("\ud800" <= char <= "\udfff" for char in raw)
    else:
        raw.encode()


@pytest.mark.parametrize("raw", ["\x00", "a\udfff", "\ud83d"])
def test_nothing_is_stored_that_no_database_takes(raw: str) -> None:
    with pytest.raises(InvalidValue, match="NUL or unpaired surrogates"):
        storable("text", raw)


@pytest.mark.parametrize(
    ("one", "other"), [("STRASSE", "straße"), ("ＡＢＣ", "abc"), ("é", "E\u0301"), ("ﬁ", "FI"), ("Σ", "ς")]
)
def test_names_that_differ_in_case_or_form_have_one_key(one: str, other: str) -> None:
    assert search_key(one) == search_key(other)


@given(st.text(max_size=30))
def test_a_search_key_is_its_own_key(raw: str) -> None:
    assert search_key(search_key(raw)) == search_key(raw)
