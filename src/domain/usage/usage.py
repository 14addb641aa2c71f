"""Usage: which stretch of it is asked for, by what it is grouped, and what it adds up to."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final

from domain.errors import InvalidValue
from domain.ids import AgentId, ModelId

DAY_MS: Final = 86_400_000
NANOS_A_UNIT: Final = 1_000_000_000
MOST_DAYS: Final = 1_100
"""Three years and a bit, in one report."""
USUAL_DAYS: Final = 30

_EPOCH: Final = date(1970, 1, 1)
_LAST: Final = ((date.max - _EPOCH).days + 1) * DAY_MS
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MOMENT: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}:[0-9]{2})"
)
_WANTED: Final = (
    "must be a date such as 2026-01-31, or a moment with its zone such as 2026-01-31T12:00:00Z "
    "(in an address + is written %2B)"
)


class Grouping(StrEnum):
    DAY = "day"
    AGENT = "agent"
    MODEL = "model"


@dataclass(frozen=True, slots=True)
class Period:
    """Whole milliseconds since 1970: `since` belongs to it, `until` no longer."""

    since: int
    until: int

    @classmethod
    def parse(cls, since: str | None, until: str | None, now: datetime) -> "Period":
        """A date means the whole of its day in UTC, also as the end; a moment as the end is the first one outside.

        Without an end it is that of today, without a beginning 30 days are taken.
        """
        end = (day_of(now) + 1) * DAY_MS if until is None else _edge("to", until, DAY_MS)
        begin = _usual_beginning(end) if since is None else _edge("from", since, 0)
        if begin >= end:
            field, order = ("from", "before the end of today") if until is None else ("to", "after from")
            raise InvalidValue(field, f"must be {order}")
        if end - begin > MOST_DAYS * DAY_MS:
            raise InvalidValue("from", f"must be at most {MOST_DAYS} days before the end: ask for less at once")
        return cls(begin, end)


def _usual_beginning(end: int) -> int:
    return max(0, (end - 1) // DAY_MS - (USUAL_DAYS - 1)) * DAY_MS


def _edge(field: str, raw: str, whole_day: int) -> int:
    """Nothing was used before 1970: what lies before it is taken as its beginning."""
    try:
        if _DATE.fullmatch(raw):
            return max(0, (date.fromisoformat(raw) - _EPOCH).days * DAY_MS + whole_day)
        if _MOMENT.fullmatch(raw):
            return min(max(0, milliseconds(datetime.fromisoformat(raw))), _LAST)
    except ValueError:
        pass
    raise InvalidValue(field, _WANTED)


def milliseconds(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def day_of(moment: datetime) -> int:
    """The number of its day in UTC, counted from 1970."""
    return milliseconds(moment) // DAY_MS


def iso_day(number: int) -> str:
    return (_EPOCH + timedelta(days=number)).isoformat()


@dataclass(frozen=True, slots=True)
class UsageSum:
    """What the attempts of one day, agent or model add up to, in one currency.

    `key` is the day, the agent's id (None: no agent was asked) or the model's; `name` the agent's present name, or the
    model's at its provider. Without prices there is neither cost nor currency. A run that used several keys or
    currencies counts in each of them.
    """

    key: str | AgentId | ModelId | None
    name: str | None
    runs: int
    attempts: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    estimated_attempts: int
    cost_nanos: int | None
    currency: str

    @property
    def cost(self) -> Decimal | None:
        return None if self.cost_nanos is None else exact(self.cost_nanos)


def exact(nanos: int) -> Decimal:
    """Billionths as units, without trailing zeros."""
    units, rest = divmod(nanos, NANOS_A_UNIT)
    digits = f"{rest:09}".rstrip("0")
    return Decimal(f"{units}.{digits}" if digits else str(units))
