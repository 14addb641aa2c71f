"""The ledger of usage as those read it who pay for it."""

from collections.abc import Sequence
from typing import Protocol

from application.ports.ledger import Ledger
from domain.dialogs.messages import Answer
from domain.ids import ModelId, RunId, UserId
from domain.usage.quotas import Spent
from domain.usage.usage import Grouping, Period, UsageSum


class UsageLedger(Ledger, Protocol):
    """What runs used gets here with their end (`Runs.close`). Rows outlive dialogs and agents, and go with accounts."""

    async def keep_used(self, answer: Answer, *, owner: UserId) -> None:
        """What an answer used without being closed: it waits for a person, or another process closed it, or its dialog
        is gone. What is there already stays as it is, now and when the answer is closed."""
        ...

    async def report(self, grouping: Grouping, period: Period, limit: int, *, owner: UserId) -> Sequence[UsageSum]:
        """The owner's sums, in no order and at most `limit` of them, in one statement."""
        ...

    async def spent(self, since: int, system: Sequence[ModelId], *, owner: UserId, but: RunId | None = None) -> Spent:
        """What the owner used since then (milliseconds since 1970), in one statement.

        Tokens and costs are those of the models in `system`. `but` is no one of the runs.
        """
        ...

    async def remove_before(self, moment: int, limit: int) -> int:
        """Remove what is older, at most `limit` rows a call. How many there were."""
        ...
