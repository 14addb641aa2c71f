"""The ledger is kept as long as it is said, and old rows go in portions, whoever removes them."""

import asyncio
from datetime import timedelta
from typing import Any, cast

import pytest

from account_desk import SetClock
from adapters.database.transactions import DatabaseTransactions
from application.usage.usage import MOST_ROWS, REMOVED_AT_ONCE, ForgetUsage, KeepUsage, ReportUsage
from domain.errors import InvalidValue, Unavailable
from domain.models.attempts import Attempt
from domain.usage.usage import DAY_MS, Grouping, Period, milliseconds
from patience import PATIENCE
from spending import attempt, noted, sums
from stored import registered

DAYS = timedelta(days=30)


async def test_what_is_older_than_accounts_are_kept_goes(transactions: DatabaseTransactions) -> None:
    clock, troubles = SetClock(), list[Exception]()
    owner, now = await registered(transactions), milliseconds(clock.now())
    old = [attempt(at=now - 31 * DAY_MS - number) for number in range(REMOVED_AT_ONCE * 2 + 5)]
    young = [attempt(at=now - 30 * DAY_MS), attempt(at=now)]
    await noted(transactions, owner, [*old, *young])
    forget = [ForgetUsage(transactions, clock, DAYS, troubles.append) for _ in range(2)]
    assert sum(await asyncio.gather(*(one.once() for one in forget))) == len(old)
    assert [one.attempts for one in await sums(transactions, owner)] == [len(young)]
    assert troubles == []


async def test_a_database_that_is_away_is_told_and_asked_again(transactions: DatabaseTransactions) -> None:
    told, over = asyncio.Queue[Exception](), asyncio.Queue[bool]()
    database = AwayAtFirst(transactions)
    forget = ForgetUsage(
        cast("Any", database), SetClock(), DAYS, told.put_nowait, lambda: over.put_nowait(True), seconds=0.01
    )
    going_on = asyncio.create_task(forget.forever())
    async with asyncio.timeout(PATIENCE):
        assert isinstance(await told.get(), Unavailable)
        assert await over.get()
    going_on.cancel()
    await asyncio.wait([going_on])


class AwayAtFirst:
    def __init__(self, transactions: DatabaseTransactions) -> None:
        self.transactions = transactions
        self.asked = 0

    def autocommit(self) -> Any:
        self.asked += 1
        if self.asked == 1:
            raise Unavailable("database_unavailable", "away", retry_after=1)
        return self.transactions.autocommit()


async def test_work_outside_of_runs_is_told_once_it_is_kept(transactions: DatabaseTransactions) -> None:
    told: list[Attempt] = []
    owner, made = await registered(transactions), [attempt(), attempt()]
    await KeepUsage(transactions, told.extend).add(owner, None, None, made)
    assert told == made
    assert [one.attempts for one in await sums(transactions, owner)] == [2]


async def test_a_report_of_too_many_rows_is_refused_and_not_cut_short(transactions: DatabaseTransactions) -> None:
    owner, clock = await registered(transactions), SetClock()
    at = milliseconds(clock.now())
    report = ReportUsage(transactions, clock)
    await noted(transactions, owner, [attempt(at=at, llm_id=f"m{number}") for number in range(MOST_ROWS)])
    assert len((await report(owner, "model", None, None)).sums) == MOST_ROWS
    await noted(transactions, owner, [attempt(at=at, llm_id="one more")])
    with pytest.raises(InvalidValue) as refused:
        await report(owner, "model", None, None)
    assert [one.name for one in refused.value.fields] == ["from"]
    async with transactions.autocommit() as tx:
        assert len(await tx.ledger.report(Grouping.MODEL, Period(0, at + 1), 3, owner=owner)) == 3
