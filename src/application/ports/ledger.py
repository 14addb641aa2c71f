"""Where attempts are kept that no answer of a person's was made of."""

from collections.abc import Sequence
from typing import Protocol

from domain.ids import AgentId, RunId, UserId
from domain.models.attempts import Attempt


class Ledger(Protocol):
    async def begin(self, owner: UserId, agent_id: AgentId | None, call: str, attempts: Sequence[Attempt]) -> None:
        """Keep what is under way, for the case that nobody comes to tell its end. Again, it takes the place of what was
        kept under that `call`. Raises Unavailable."""
        ...

    async def add(
        self,
        owner: UserId,
        agent_id: AgentId | None,
        run_id: RunId | None,
        attempts: Sequence[Attempt],
        call: str | None = None,
    ) -> None:
        """Keep them, once each time, or in the place of what began as `call`. Nothing of an account that is gone.
        Raises Unavailable."""
        ...
