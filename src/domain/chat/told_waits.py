"""What a program is told of an answer that waits for a person, and which answer that was when the program tells it."""

from collections.abc import Sequence
from typing import Final

from domain.ids import MessageId
from domain.runs.runs import Run

_OPENING: Final = "[There is no answer yet: it waits until a person approves or declines these calls.\n"
_MESSAGE: Final = " as the message "
_CLOSING: Final = ".]"
_ID: Final = 26


def waiting_sentence(run: Run, calls: Sequence[str]) -> str:
    lines = "".join(f"- {one}\n" for one in calls)
    return (
        f"{_OPENING}{lines}POST /api/v1/chat/approve decides, with run_id "
        f"{run.run_id}; the answer then stands in the dialog {run.dialog_id}{_MESSAGE}{run.message_id}{_CLOSING}"
    )


def answer_that_waited(text: str) -> MessageId | None:
    """Where such a sentence ends what was said: whatever stands in the calls and the dialog's id comes before."""
    said, _, name = text.rstrip().removesuffix(_CLOSING).rpartition(_MESSAGE)
    known = len(name) == _ID and name.isascii() and name.isalnum()
    return MessageId(name) if known and _OPENING in said else None
