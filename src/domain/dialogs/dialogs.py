"""Dialogs: a thread of questions and answers with an agent."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from domain.errors import InvalidValue
from domain.ids import AgentId, DialogId, UserId
from domain.text import line

ID_MAX = 128
NAME_MAX = 128

UNNAMED: Final = "New dialog"
"""The name of a dialog that was made without one."""


@dataclass(frozen=True, slots=True)
class Dialog:
    """`dialog_id` is unique per user, so (user_id, dialog_id) names a dialog.

    The agent's name and logo are those of the agent as it is now, or as it was when it was deleted.
    """

    dialog_id: DialogId
    user_id: UserId
    name: str
    agent_id: AgentId
    agent_name: str
    logo_url: str
    created_at: datetime
    updated_at: datetime


def parse_dialog_id(raw: str) -> DialogId:
    """1-128 printable characters, taken as they are: clients make their own."""
    if not 1 <= len(raw) <= ID_MAX:
        raise InvalidValue("dialog_id", f"must have 1 to {ID_MAX} characters")
    if not raw.isprintable() or any("\ud800" <= char <= "\udfff" for char in raw):
        raise InvalidValue("dialog_id", "must be printable")
    return DialogId(raw)


def parse_dialog_name(raw: str) -> str:
    return line("name", raw, minimum=1, maximum=NAME_MAX)


def name_from_question(question: str) -> str:
    """A dialog without a name is called after its first question: its first line, at most 40 characters."""
    words = "".join(char if char.isprintable() else " " for char in question[:400]).split()
    text = " ".join(words)
    return (text[:39] + "…" if len(text) > 40 else text) or "…"
