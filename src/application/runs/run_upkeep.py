"""What a process does for runs beside making them: renew leases, close what was abandoned, remove old logs."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from application.ports.clock import SharedClock
from application.ports.persistence import Transactions
from application.runs.leases import Leases
from application.runs.run_closing import CloseAbandoned
from application.runs.run_registry import RunRegistry
from domain.dialogs.messages import AnswerStatus
from domain.errors import DomainError
from domain.runs.runs import KEY_LIFETIME, Run

RETRY_SECONDS: Final = 0.5
REMOVED_AT_ONCE: Final = 25
"""A small portion: on SQLite nothing else goes on meanwhile."""
REMOVALS: Final = 100
PAUSE_SECONDS: Final = 0.01

OnTrouble = Callable[[Exception], None]
OnSuccess = Callable[[], None]


def _nothing() -> None: ...


@dataclass(frozen=True, slots=True)
class KeepRunsAlive:
    """Looks at the shared clock and renews the leases of this process's runs. Nothing slow is done between."""

    registry: RunRegistry
    transactions: Transactions
    leases: Leases
    shared_clock: SharedClock
    on_trouble: OnTrouble
    on_success: OnSuccess = _nothing

    async def once(self) -> None:
        """Raises Unavailable."""
        self.leases.saw(await self.shared_clock.now())
        runs = self.registry.renewable()
        if not runs:
            return
        until = self.leases.until()
        async with self.transactions.autocommit() as tx:
            asked_to_stop = await tx.runs.renew(list(runs), until)
        for run_id, run in runs.items():
            if run is None:
                continue
            run.renewed(until)
            # One that is not told of was closed by another process, or went with its dialog.
            if asked_to_stop.get(run_id, True):
                run.end(AnswerStatus.STOPPED)

    async def forever(self) -> None:
        while True:
            pause = self.leases.seconds / 4
            try:
                async with asyncio.timeout(self.leases.seconds / 3):
                    await self.once()
                self.on_success()
            except Exception as trouble:  # noqa: BLE001 - a keeper that gives up would let every lease run out
                self.leases.lose_touch()
                self.on_trouble(trouble)
                pause = min(pause, RETRY_SECONDS)
            await asyncio.sleep(pause)


@dataclass(frozen=True, slots=True)
class SweepRuns:
    """Closes what other processes abandoned, and forgets what is old."""

    registry: RunRegistry
    transactions: Transactions
    leases: Leases
    close_abandoned: CloseAbandoned
    log_retention: timedelta
    on_trouble: OnTrouble
    on_success: OnSuccess = _nothing

    async def once(self) -> None:
        """Raises Unavailable."""
        if self.leases.may_judge:
            await self.close_abandoned(self.leases.now(), but=self.registry.renewable().keys())
        now = self.leases.now()
        async with self.transactions.autocommit() as tx:
            await _in_batches(lambda: tx.runs.remove_logs(now - self.log_retention, REMOVED_AT_ONCE))
            await _in_batches(lambda: tx.runs.remove(now - max(self.log_retention, KEY_LIFETIME), REMOVED_AT_ONCE))

    async def forever(self) -> None:
        while True:
            try:
                await self.once()
                self.on_success()
            except Exception as trouble:  # noqa: BLE001 - the next look may find the database in order
                self.leases.lose_touch()
                self.on_trouble(trouble)
            await asyncio.sleep(self.leases.seconds / 4)


async def _in_batches(remove: Callable[[], Awaitable[int]]) -> None:
    for _ in range(REMOVALS):
        if await remove() < REMOVED_AT_ONCE:
            return
        await asyncio.sleep(PAUSE_SECONDS)


@dataclass(frozen=True, slots=True)
class FollowedElsewhere:
    """For how many more seconds a reader at another process is known to follow a run of this one."""

    transactions: Transactions
    leases: Leases
    ask_again_seconds: float = 1.0

    async def __call__(self, run: Run) -> float:
        try:
            async with self.transactions.autocommit() as tx:
                run = await tx.runs.get(run.run_id, owner=run.user_id)
        except DomainError as trouble:
            # While the database is away nobody can say that he follows: ask when it is back.
            return self.ask_again_seconds if trouble.retry_after else 0.0
        return run.followed_for(self.leases.now())
