"""A dialog as one line of text, for the jobs about it: its id is the client's own, and unique only within its user."""

from typing import Final
from urllib.parse import quote, unquote

from domain.dialogs.dialogs import ID_MAX, parse_dialog_id
from domain.errors import InvalidValue
from domain.ids import DialogId, UserId

_USER_MAX: Final = 64
SUBJECT_MAX: Final = _USER_MAX + 1 + ID_MAX * 4 * 3
"""Characters, all of them ASCII: each byte of a dialog's id may take three."""


def dialog_subject(user_id: UserId, dialog_id: DialogId) -> str:
    """Different for any two dialogs. Raises ValueError for what can't be read back."""
    subject = f"{user_id}/{quote(dialog_id, safe='')}"
    if parse_dialog_subject(subject) != (user_id, dialog_id):
        raise ValueError("no subject for this dialog")
    return subject


def parse_dialog_subject(subject: str) -> tuple[UserId, DialogId]:
    """Raises ValueError for what no dialog's subject is."""
    user_id, slash, quoted = subject[: SUBJECT_MAX + 1].partition("/")
    if not slash or len(subject) > SUBJECT_MAX or not (user_id.isascii() and user_id.isalnum()):
        raise ValueError("not the subject of a dialog")
    try:
        return UserId(user_id), parse_dialog_id(unquote(quoted, errors="strict"))
    except (UnicodeDecodeError, InvalidValue) as error:
        raise ValueError("not the subject of a dialog") from error
