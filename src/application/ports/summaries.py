"""The database's side of summaries: how far one reaches, and what is still to be summed up."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from domain.dialogs.messages import Exchange
from domain.dialogs.past import Summary
from domain.ids import DialogId, MessageId, UserId


@dataclass(frozen=True, slots=True)
class SummaryState:
    """`summary` is what there is, perhaps of no exchange yet; `wanted` exchanges are to be summed up."""

    summary: Summary
    wanted: int
    failures: int


class Summaries(Protocol):
    """A dialog's summary goes with the dialog. Reads of a deleted account raise Unauthenticated `account_gone`."""

    async def want(self, dialog_id: DialogId, covers: int, *, owner: UserId) -> bool:
        """That the first `covers` exchanges be summed up. Atomic alone.

        False where nobody is to try now: the dialog is gone, or it failed too often a short while ago.
        """
        ...

    async def state(self, dialog_id: DialogId, *, owner: UserId) -> SummaryState | None:
        """None where nothing was wanted yet."""
        ...

    async def stretch(
        self, dialog_id: DialogId, state: SummaryState, limit: int, most_bytes: int, *, owner: UserId
    ) -> Sequence[tuple[MessageId, Exchange]]:
        """The first exchanges that are wanted and not summed up, with the ids of their answers, oldest first.

        At least one if there is one; more, at most `limit`, while all their texts have `most_bytes`. Without tool
        rounds where these have more.
        """
        ...

    async def save(
        self, dialog_id: DialogId, summary: Summary, expected: int, last: MessageId, *, owner: UserId
    ) -> bool:
        """Put it in the place of the one that covers `expected` exchanges. Atomic alone.

        False, and nothing changed, when there is another one meanwhile, or `last` is not the last answer that it
        covers: the dialog may be another one of the same id.
        """
        ...

    async def failed(self, dialog_id: DialogId, expected: int, *, owner: UserId) -> int:
        """Count a failure to go on from `expected`; how many there are in a row, 0 when it does not matter any more."""
        ...
