"""Conversations that the programs keep themselves which ask: in which dialog each is."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from domain.ids import DialogId, MessageId, UserId
from domain.tools import ToolRound


class Conversations(Protocol):
    """Reads prove the account, as all of `persistence` do."""

    async def told(self, dialog_id: DialogId, conversation: str, *, owner: UserId) -> None:
        """The dialog is this conversation now, and no other. Of a dialog that is gone nothing is kept."""
        ...

    async def find(self, conversation: str, last_answer: str, *, owner: UserId) -> DialogId | None:
        """The dialog of this conversation whose last answer, which is closed, is this text but for spaces around it.

        The newest, where there are several; of very many that began alike only the newest are looked at.
        """
        ...

    async def of_answer(self, conversation: str, answer: MessageId, *, owner: UserId) -> DialogId | None:
        """The dialog of this conversation whose last answer, which is closed, is this one."""
        ...

    async def rounds(self, answers: Sequence[MessageId], *, owner: UserId) -> Mapping[MessageId, Sequence[ToolRound]]:
        """What was called in these answers, of those that are there and the owner's; in one statement."""
        ...
