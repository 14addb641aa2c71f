"""How many jobs wait, and whether anybody works on them."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from application.ports.job_queue import Backlog, JobQueue
from domain.errors import Unavailable

FRESH_SECONDS: Final = 5.0
PATIENCE_SECONDS: Final = 2.0
FORSAKEN_SECONDS: Final = 60.0
"""Longer than workers take to start, or to be replaced."""


@dataclass(slots=True)
class LookAtBacklog:
    """However many ask, the queue is asked once in a few seconds; also when it is away."""

    queue: JobQueue
    fresh_seconds: float = FRESH_SECONDS
    patience_seconds: float = PATIENCE_SECONDS
    clock: Callable[[], float] = time.monotonic
    _asking: "asyncio.Lock" = field(default_factory=asyncio.Lock)
    _asked_at: float | None = None
    _found: Backlog | None = None

    async def __call__(self) -> Backlog | None:
        """None when the queue can't be asked now."""
        async with self._asking:
            if self._asked_at is None or self.clock() - self._asked_at >= self.fresh_seconds:
                self._found = await self._ask()
                self._asked_at = self.clock()
            return self._found

    async def _ask(self) -> Backlog | None:
        try:
            async with asyncio.timeout(self.patience_seconds):
                return await self.queue.backlog()
        except (Unavailable, TimeoutError):
            return None


@dataclass(frozen=True, slots=True)
class JobsHealth:
    """Implements HealthCheck: jobs that are due have somebody who does them."""

    look: LookAtBacklog
    name: str = "jobs"

    async def check(self) -> None:
        found = await self.look()
        if found is None:
            raise Unavailable("database_unavailable", "The queue of jobs can't be reached.")
        if found.oldest_seconds > FORSAKEN_SECONDS and not found.workers:
            raise Unavailable(
                "jobs_forsaken",
                f"{sum(found.waiting.values())} jobs wait, one for {found.oldest_seconds:.0f} seconds, "
                "and no worker lives: run `agentchat worker`, or set ingestion.in_server.",
            )
