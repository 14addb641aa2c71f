"""Conversations that the programs keep themselves which ask: in which dialog each is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from domain.ids import DialogId, MessageId, UserId
from domain.tools import ToolRound


@dataclass(frozen=True, slots=True)
class ToldDialog:
    """A dialog, and the text of its last answer, which is closed."""

    dialog_id: DialogId
    last_answer: str


class Conversations(Protocol):
    """Reads prove the account, as all of `persistence` do."""

    async def told(self, dialog_id: DialogId, conversation: str, *, owner: UserId) -> None:
        """The dialog is this conversation now, and no other. Of a dialog that is gone nothing is kept."""
        ...

    async def of(self, conversation: str, *, owner: UserId) -> Sequence[ToldDialog]:
        """A few dialogs of this conversation, the latest first, but for those that are being answered."""
        ...

    async def rounds(self, answers: Sequence[MessageId], *, owner: UserId) -> Mapping[MessageId, Sequence[ToolRound]]:
        """What was called in these answers, of those that are there and the owner's; in one statement."""
        ...
