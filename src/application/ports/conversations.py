"""Conversations that the programs keep themselves which ask: in which dialog each is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from domain.ids import DialogId, MessageId, UserId
from domain.tools.tools import ToolRound


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """What was said and called in an answer. One that `is_open` is not at its end yet."""

    text: str
    rounds: Sequence[ToolRound]
    is_open: bool


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

    async def answers(self, answers: Sequence[MessageId], *, owner: UserId) -> Mapping[MessageId, KeptAnswer]:
        """Those of these that are there and the owner's; in one statement."""
        ...
