"""What one used, in sums; and how old the accounts of it get."""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from application.ports.clock import Clock
from application.ports.persistence import Transactions
from domain.errors import InvalidValue
from domain.ids import AgentId, RunId, UserId
from domain.models.attempts import Attempt
from domain.usage.usage import Grouping, Period, UsageSum, milliseconds

MOST_ROWS: Final = 5_000
REMOVED_AT_ONCE: Final = 100
"""A small portion: on SQLite nothing else is written meanwhile."""
REMOVALS: Final = 1_000
PAUSE_SECONDS: Final = 0.01
EVERY_SECONDS: Final = 3_600.0


def _nothing() -> None: ...


@dataclass(frozen=True, slots=True)
class UsageReport:
    """Days newest first; agents and models by what they used, most first."""

    grouping: Grouping
    period: Period
    sums: Sequence[UsageSum]


@dataclass(frozen=True, slots=True)
class ReportUsage:
    transactions: Transactions
    clock: Clock

    async def __call__(self, actor: UserId, group_by: str, since: str | None, until: str | None) -> UsageReport:
        """The caller's own. Raises InvalidValue, also for a period that has too many rows."""
        grouping = _grouping(group_by)
        period = Period.parse(since, until, self.clock.now())
        async with self.transactions.autocommit() as tx:
            found = await tx.ledger.report(grouping, period, MOST_ROWS + 1, owner=actor)
        if len(found) > MOST_ROWS:
            raise InvalidValue("from", f"the report has more than {MOST_ROWS:,} rows: ask for a shorter time")
        return UsageReport(grouping, period, _in_order(grouping, found))


def _grouping(group_by: str) -> Grouping:
    try:
        return Grouping(group_by)
    except ValueError:
        raise InvalidValue("group_by", f"must be one of {', '.join(Grouping)}") from None


def _in_order(grouping: Grouping, found: Sequence[UsageSum]) -> Sequence[UsageSum]:
    by_name = sorted(found, key=lambda one: (one.key or "", one.name or "", one.currency))
    if grouping is Grouping.DAY:
        return sorted(by_name, key=lambda one: one.key or "", reverse=True)
    return sorted(by_name, key=lambda one: one.input_tokens + one.output_tokens, reverse=True)


@dataclass(frozen=True, slots=True)
class KeepUsage:
    """The Ledger port, for work outside of runs."""

    transactions: Transactions
    used: Callable[[Sequence[Attempt]], None]

    async def begin(self, owner: UserId, agent_id: AgentId | None, call: str, attempts: Sequence[Attempt]) -> None:
        async with self.transactions.autocommit() as tx:
            await tx.ledger.begin(owner, agent_id, call, attempts)

    async def add(
        self,
        owner: UserId,
        agent_id: AgentId | None,
        run_id: RunId | None,
        attempts: Sequence[Attempt],
        call: str | None = None,
    ) -> None:
        async with self.transactions.autocommit() as tx:
            await tx.ledger.add(owner, agent_id, run_id, attempts, call)
        self.used(attempts)


@dataclass(frozen=True, slots=True)
class ForgetUsage:
    """Removes rows of the ledger when they are older than accounts are kept. Any number of processes may do it."""

    transactions: Transactions
    clock: Clock
    retention: timedelta
    on_trouble: Callable[[Exception], None]
    on_success: Callable[[], None] = _nothing
    seconds: float = EVERY_SECONDS
    """Between two looks."""

    async def once(self) -> int:
        """How many went. Raises Unavailable."""
        before = milliseconds(self.clock.now() - self.retention)
        gone = 0
        async with self.transactions.autocommit() as tx:
            for _ in range(REMOVALS):
                removed = await tx.ledger.remove_before(before, REMOVED_AT_ONCE)
                gone += removed
                if removed < REMOVED_AT_ONCE:
                    break
                await asyncio.sleep(PAUSE_SECONDS)
        return gone

    async def forever(self) -> None:
        while True:
            try:
                await self.once()
                self.on_success()
            except Exception as trouble:  # noqa: BLE001 - the next look may find the database in order
                self.on_trouble(trouble)
            # Not all processes at the same moment, also when they were started together.
            await asyncio.sleep(self.seconds * random.uniform(0.8, 1.2))  # noqa: S311
