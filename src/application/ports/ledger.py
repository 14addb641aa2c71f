"""Where attempts are kept that no answer of a person's was made of."""

from collections.abc import Sequence
from typing import Protocol

from domain.attempts import Attempt
from domain.ids import AgentId, RunId, UserId


class Ledger(Protocol):
    async def add(
        self, owner: UserId, agent_id: AgentId | None, run_id: RunId | None, attempts: Sequence[Attempt]
    ) -> None:
        """Keep them, once each call. Nothing of an account that is gone. Raises Unavailable."""
        ...
