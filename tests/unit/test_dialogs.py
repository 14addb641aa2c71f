"""Dialog ids that clients make up, and names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.dialogs.dialogs import ID_MAX, NAME_MAX, UNNAMED, name_from_question, parse_dialog_id, parse_dialog_name
from domain.errors import InvalidValue


@pytest.mark.parametrize("raw", ["dialog-123", "a/b", "对话 1", "x" * ID_MAX, "%2F", "é", "list", "😀"])
def test_printable_ids_are_taken_as_they_are(raw: str) -> None:
    assert parse_dialog_id(raw) == raw


@pytest.mark.parametrize("raw", ["", "x" * (ID_MAX + 1), "a\x00", "a\nb", "\u2028", "\ud800", "\ue000", "\u200b"])
def test_other_ids_are_refused(raw: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        parse_dialog_id(raw)
    assert refused.value.fields[0].name == "dialog_id"


@given(st.text(st.characters(codec=None), max_size=600))
def test_any_question_names_a_dialog(question: str) -> None:
    name = name_from_question(question)
    assert 1 <= len(name) <= 40
    name.encode()
    assert parse_dialog_name(name)


def test_a_long_question_is_shortened_visibly() -> None:
    assert name_from_question("word " * 50) == ("word " * 8)[:39] + "…"
    assert name_from_question("  \n ") == "…"


@pytest.mark.parametrize("raw", ["", "  ", "x" * (NAME_MAX + 1), "a\nb"])
def test_a_bad_name_is_refused(raw: str) -> None:
    with pytest.raises(InvalidValue, match=r"^name: "):
        parse_dialog_name(raw)


def test_the_name_of_a_dialog_without_one_is_a_name() -> None:
    assert parse_dialog_name(UNNAMED) == UNNAMED
