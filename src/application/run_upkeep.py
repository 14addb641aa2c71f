"""What a process does for runs now and then: renew the leases of its own, close abandoned ones, remove old logs."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from application.ports.clock import Clock
from application.ports.persistence import Transactions
from application.run_closing import CloseAbandoned
from application.run_registry import RunRegistry
from domain.errors import DomainError, Unavailable
from domain.messages import AnswerStatus
from domain.runs import KEY_LIFETIME, Run

REMOVED_AT_ONCE: Final = 25
REMOVALS: Final = 100
"""Batches that one look removes, at most. Small ones: on SQLite nothing else goes on meanwhile."""


@dataclass(slots=True)
class KeepRunsAlive:
    """`once` every quarter of a lease."""

    registry: RunRegistry
    transactions: Transactions
    clock: Clock
    close_abandoned: CloseAbandoned
    log_retention: timedelta
    on_trouble: Callable[[Exception], None]
    _away: bool = False
    _trusted_from: float | None = None
    """Not before may it judge others by their leases: while the database was away, nobody could renew any.

    A process that begins does not know whether it was.
    """

    async def once(self) -> None:
        """Raises Unavailable."""
        loop = asyncio.get_running_loop()
        try:
            if self._away:
                await self.transactions.ping()
                self._away, self._trusted_from = False, None
            if self._trusted_from is None:
                self._trusted_from = loop.time() + self.registry.lease_seconds
            await self._renew()
            if loop.time() >= self._trusted_from:
                await self.close_abandoned(self.clock.now())
            await self._remove_old()
        except Unavailable:
            self._away = True
            raise

    async def forever(self) -> None:
        while True:
            try:
                await self.once()
            except Exception as trouble:  # noqa: BLE001 - a keeper that gives up would let every lease run out
                self.on_trouble(trouble)
            await asyncio.sleep(self.registry.lease_seconds / 4)

    async def _renew(self) -> None:
        runs = {run.state.run_id: run for run in self.registry.live()}
        if not runs:
            return
        async with self.transactions.autocommit() as tx:
            asked_to_stop = await tx.runs.renew(list(runs), self.registry.lease_until(self.clock.now()))
        for run_id, run in runs.items():
            # One that is not told of was closed by another process, or went with its dialog.
            if asked_to_stop.get(run_id, True):
                run.end(AnswerStatus.STOPPED)

    async def _remove_old(self) -> None:
        now = self.clock.now()
        async with self.transactions.autocommit() as tx:
            await _in_batches(lambda: tx.runs.remove_logs(now - self.log_retention, REMOVED_AT_ONCE))
            await _in_batches(lambda: tx.runs.remove(now - max(self.log_retention, KEY_LIFETIME), REMOVED_AT_ONCE))


async def _in_batches(remove: Callable[[], Awaitable[int]]) -> None:
    for _ in range(REMOVALS):
        if await remove() < REMOVED_AT_ONCE:
            return
        await asyncio.sleep(0)


@dataclass(frozen=True, slots=True)
class FollowedElsewhere:
    """For how many more seconds a reader at another process is known to follow a run of this one."""

    transactions: Transactions
    clock: Clock
    ask_again_seconds: float = 1.0

    async def __call__(self, run: Run) -> float:
        try:
            async with self.transactions.autocommit() as tx:
                run = await tx.runs.get(run.run_id, owner=run.user_id)
        except DomainError as trouble:
            # While the database is away nobody can say that he follows: ask when it is back.
            return self.ask_again_seconds if trouble.retry_after else 0.0
        if run.followed_until is None:
            return 0.0
        return max(0.0, (run.followed_until - self.clock.now()).total_seconds())
