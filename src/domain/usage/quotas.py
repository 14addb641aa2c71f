"""Quotas: how much of the models a user may have in a day of UTC."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from domain.conversation.conversation import Usage
from domain.errors import FieldProblem, TooManyRequests
from domain.models.attempts import cost_of
from domain.models.models import Prices
from domain.usage.usage import exact

USUAL_RUN: Final = Usage(1_500, 500)
"""What an answer in the making is taken to use, where those of the day used less."""
SOON_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Quota:
    """None without limit. `cost_nanos` are billionths of a currency's unit, and count for each currency alone.

    Tokens and cost are those of the system's models: for their own, people pay themselves. Answers are everybody's.
    """

    tokens: int | None = None
    runs: int | None = None
    cost_nanos: int | None = None

    @property
    def is_limited(self) -> bool:
        return (self.tokens, self.runs, self.cost_nanos) != (None, None, None)

    @property
    def of_answers(self) -> "Quota":
        """For one that the system's models have no part in."""
        return Quota(runs=self.runs)

    @property
    def of_models(self) -> "Quota":
        """For work that is no answer."""
        return replace(self, runs=None)


@dataclass(frozen=True, slots=True)
class Spent:
    """What a user had since midnight: tokens in and out, runs, billionths by currency; and runs in the making.

    A run that waits for a person is one of `runs`, like one that ended: what it used is in the ledger.
    """

    tokens: int = 0
    runs: int = 0
    costs: Mapping[str, int] = field(default_factory=dict)
    open_runs: int = 0

    def refuse_beyond(self, quota: Quota, prices: Prices | None, now: datetime, *, more_runs: int = 1) -> None:
        """Raises TooManyRequests `quota_exceeded` when one more run is too much.

        Nobody knows yet what open runs will have used. Each counts as much as the others of the day did on average,
        and not as less than a usual one. `more_runs` 0 is for one that waited and is to go on, itself not among `runs`:
        of tokens and cost it needs what is left, whatever others may use.
        """
        others = self.open_runs if more_runs else 0
        if quota.runs is not None:
            _refuse(self.runs, self.open_runs, quota.runs, f"{quota.runs:,} answers", now)
        if quota.tokens is not None:
            each = max(self._average(self.tokens), USUAL_RUN.input_tokens + USUAL_RUN.output_tokens)
            _refuse(self.tokens, others * each, quota.tokens, f"{quota.tokens:,} tokens", now)
        if quota.cost_nanos is not None:
            for currency, spent in self._with(prices):
                each = max(self._average(spent), _usual_cost(prices, currency))
                _refuse(spent, others * each, quota.cost_nanos, f"{exact(quota.cost_nanos)} {currency}", now)

    def _average(self, sum_of_all: int) -> int:
        return sum_of_all // self.runs if self.runs else 0

    def _with(self, prices: Prices | None) -> list[tuple[str, int]]:
        """Also the currency that the next answer is paid in, if nothing was yet."""
        costs = dict(self.costs)
        if prices is not None:
            costs.setdefault(prices.currency, 0)
        return sorted(costs.items())


def _usual_cost(prices: Prices | None, currency: str) -> int:
    return cost_of(USUAL_RUN, prices) or 0 if prices and prices.currency == currency else 0


def _refuse(spent: int, expected: int, limit: int, allowed: str, now: datetime) -> None:
    if spent >= limit:
        raise _until_midnight(f"At most {allowed} a day are allowed.", now)
    if spent + expected >= limit:
        message = f"At most {allowed} a day are allowed, and what is left may go to answers that are in the making."
        raise _exceeded(message, "Ask again when they have ended", now, SOON_SECONDS)


def _until_midnight(message: str, now: datetime) -> TooManyRequests:
    return _exceeded(message, "Ask again then", now, (midnight_after(now) - now).total_seconds())


def _exceeded(message: str, advice: str, now: datetime, retry_after: float) -> TooManyRequests:
    resets_at = f"{midnight_after(now):%Y-%m-%dT%H:%M:%SZ}"
    return TooManyRequests(
        "quota_exceeded",
        f"{message} The day ends at {resets_at}. {advice}.",
        fields=(FieldProblem("resets_at", resets_at),),
        retry_after=max(1.0, retry_after),
    )


def midnight_before(now: datetime) -> datetime:
    return now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def midnight_after(now: datetime) -> datetime:
    return midnight_before(now) + timedelta(days=1)
