"""Quotas are checked before a run begins. Without one nothing is asked of the database."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from weakref import WeakValueDictionary

from application.ports.clock import Clock
from application.ports.persistence import Transactions
from domain.ids import UserId
from domain.models import ModelSpec
from domain.quotas import Quota, Spent, midnight_after, midnight_before
from domain.usage import milliseconds


@dataclass(frozen=True, slots=True)
class Quotas:
    """What a user may use in a day of UTC, at all processes together.

    How far it can be passed: the answers in the making count as much as the day's others did on average, so by what
    they use beyond that. At one process questions of a user are let in one after the other; of several processes each
    may let in one that does not know of the others'.
    """

    transactions: Transactions
    clock: Clock
    quota: Quota = Quota()
    _turns: "WeakValueDictionary[UserId, asyncio.Lock]" = field(default_factory=WeakValueDictionary)

    @asynccontextmanager
    async def admitted(self, user_id: UserId, spec: ModelSpec) -> AsyncIterator[None]:
        """A run may be stored inside. Raises TooManyRequests `quota_exceeded`."""
        if not self.quota.is_limited:
            yield
            return
        turn = self._turns.setdefault(user_id, asyncio.Lock())
        async with turn:
            spent, now = await self._spent(user_id)
            spent.refuse_beyond(self.quota, spec.prices, now)
            yield

    async def refuse_exhausted(self, user_id: UserId) -> None:
        """Whether an open run may go on. Raises TooManyRequests `quota_exceeded`."""
        if self.quota.is_limited:
            spent, now = await self._spent(user_id)
            spent.refuse_beyond(self.quota, None, now, more_runs=0)

    async def _spent(self, user_id: UserId) -> tuple[Spent, datetime]:
        now = self.clock.now()
        async with self.transactions.autocommit() as tx:
            return await tx.ledger.spent(milliseconds(midnight_before(now)), owner=user_id), now


@dataclass(frozen=True, slots=True)
class QuotaState:
    """What is allowed in a day, what of it is used, and when the next one begins."""

    quota: Quota
    spent: Spent
    resets_at: datetime


@dataclass(frozen=True, slots=True)
class ShowQuota:
    transactions: Transactions
    clock: Clock
    quota: Quota

    async def __call__(self, actor: UserId) -> QuotaState:
        now = self.clock.now()
        async with self.transactions.autocommit() as tx:
            spent = await tx.ledger.spent(milliseconds(midnight_before(now)), owner=actor)
        return QuotaState(self.quota, spent, midnight_after(now))
