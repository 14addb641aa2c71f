"""Quotas are checked before a run begins. Without one nothing is asked of the database."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from weakref import WeakValueDictionary

from application.models.models import ModelCatalogue
from application.ports.clock import Clock
from application.ports.persistence import Transactions
from domain.ids import RunId, UserId
from domain.models.model_routes import ModelRoute
from domain.models.models import ModelSpec
from domain.usage.quotas import Quota, Spent, midnight_after, midnight_before
from domain.usage.usage import milliseconds


@dataclass(frozen=True, slots=True)
class Quotas:
    """What a user may use in a day of UTC, at all processes together.

    How far it can be passed: the answers in the making count as much as the day's others did on average, so by what
    they use beyond that. At one process questions of a user are let in one after the other; of several processes each
    may let in one that does not know of the others'.
    """

    transactions: Transactions
    clock: Clock
    catalogue: ModelCatalogue
    quota: Quota = Quota()
    _turns: "WeakValueDictionary[UserId, asyncio.Lock]" = field(default_factory=WeakValueDictionary)

    @asynccontextmanager
    async def admitted(self, user_id: UserId, spec: ModelSpec) -> AsyncIterator[None]:
        """A run may be stored inside. Raises TooManyRequests `quota_exceeded`."""
        quota = self._of(ModelRoute.of(spec))
        if not quota.is_limited:
            yield
            return
        turn = self._turns.setdefault(user_id, asyncio.Lock())
        async with turn:
            spent, now = await self._spent(user_id)
            spent.refuse_beyond(quota, spec.prices if spec.owner is None else None, now)
            yield

    async def refuse_exhausted(self, user_id: UserId, run_id: RunId, route: ModelRoute) -> None:
        """Whether a run that waited may go on. Raises TooManyRequests `quota_exceeded`."""
        await self._refuse(user_id, self._of(route), run_id)

    async def refuse_trial(self, user_id: UserId) -> None:
        """Whether one of the system's models may be asked for what is no answer. Raises the same."""
        await self._refuse(user_id, self.quota.of_models)

    def _of(self, route: ModelRoute) -> Quota:
        """Who brings a model and nobody else's to take over costs the system nothing."""
        return self.quota if route.spec.owner is None or route.waiting else self.quota.of_answers

    async def _refuse(self, user_id: UserId, quota: Quota, run_id: RunId | None = None) -> None:
        if quota.is_limited:
            spent, now = await self._spent(user_id, run_id)
            spent.refuse_beyond(quota, None, now, more_runs=0)

    async def _spent(self, user_id: UserId, but: RunId | None = None) -> tuple[Spent, datetime]:
        now = self.clock.now()
        since, system = milliseconds(midnight_before(now)), self.catalogue.ids
        async with self.transactions.autocommit() as tx:
            return await tx.ledger.spent(since, system, owner=user_id, but=but), now


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
    catalogue: ModelCatalogue
    quota: Quota

    async def __call__(self, actor: UserId) -> QuotaState:
        now = self.clock.now()
        async with self.transactions.autocommit() as tx:
            spent = await tx.ledger.spent(milliseconds(midnight_before(now)), self.catalogue.ids, owner=actor)
        return QuotaState(self.quota, spent, midnight_after(now))
