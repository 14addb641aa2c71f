"""Jobs about a dialog find back to it, whatever a client called it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.dialogs.dialog_subjects import SUBJECT_MAX, dialog_subject, parse_dialog_subject
from domain.dialogs.dialogs import ID_MAX
from domain.ids import DialogId, UserId, new_id

USERS = st.text("0123456789ABCDEFGHJKMNPQRSTVWXYZ", min_size=1, max_size=26).map(UserId)
DIALOGS = st.one_of(
    st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=ID_MAX).filter(str.isprintable),
    st.text("/%2f. 🙂'\"", min_size=1, max_size=ID_MAX),
).map(DialogId)


@given(USERS, DIALOGS)
def test_a_subject_names_its_user_and_dialog(user_id: UserId, dialog_id: DialogId) -> None:
    subject = dialog_subject(user_id, dialog_id)
    assert parse_dialog_subject(subject) == (user_id, dialog_id)
    assert len(subject) <= SUBJECT_MAX
    assert subject.isascii()
    assert subject.isprintable()


@given(st.tuples(USERS, DIALOGS), st.tuples(USERS, DIALOGS))
def test_two_dialogs_never_have_one_subject(one: tuple[UserId, DialogId], other: tuple[UserId, DialogId]) -> None:
    assert (dialog_subject(*one) == dialog_subject(*other)) == (one == other)


def test_the_longest_id_of_a_dialog_has_a_subject() -> None:
    longest = DialogId("\U0001f642" * ID_MAX)
    assert len(dialog_subject(UserId(new_id()), longest)) <= SUBJECT_MAX


@pytest.mark.parametrize(
    "subject",
    ["", "/", "u", "u/", "/d", "u/%ff", "u/%00", "u/%ED%A0%80", "ü/d", "u-1/d", "u/" + "a" * (ID_MAX + 1), "u/" * 9999],
)
def test_what_is_no_subject_is_refused(subject: str) -> None:
    with pytest.raises(ValueError, match="subject"):
        parse_dialog_subject(subject)


@pytest.mark.parametrize(("user_id", "dialog_id"), [("a/b", "c"), ("", "d"), ("u", ""), ("u", "\x00"), ("u", "\ud800")])
def test_what_could_not_be_read_back_gets_no_subject(user_id: str, dialog_id: str) -> None:
    with pytest.raises(ValueError, match=r"subject|surrogates"):
        dialog_subject(UserId(user_id), DialogId(dialog_id))
