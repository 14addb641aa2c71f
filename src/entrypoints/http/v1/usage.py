"""What one used, as JSON or as a table; and how much of it one may have in a day."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Final

import msgspec
from dishka.integrations.litestar import FromDishka, inject
from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import QueryParameter
from msgspec import UNSET, Struct, UnsetType

from application.usage.quotas import QuotaState, ShowQuota
from application.usage.usage import ReportUsage, UsageReport
from domain.errors import InvalidValue
from domain.usage.usage import DAY_MS, Grouping, UsageSum, exact, iso_day
from entrypoints.http.auth import Caller
from entrypoints.http.csv_text import MEDIA_TYPE, Cell, csv_text
from entrypoints.http.envelope import Envelope, PageEnvelope, ok, page, rfc3339

TAGS: Final = ["usage"]

# Costs are decimals: as numbers of JSON, with all their digits, and never through a binary fraction.
_encode: Final = msgspec.json.Encoder(decimal_format="number").encode

KEYS: Final[Mapping[Grouping, tuple[str, ...]]] = {
    Grouping.DAY: ("day",),
    Grouping.AGENT: ("agent_id", "agent_name"),
    Grouping.MODEL: ("model", "model_name"),
}
NUMBERS: Final = ("runs", "attempts", "input_tokens", "output_tokens", "cached_tokens", "estimated_attempts")


class UsageRow(Struct, kw_only=True):
    """First what it is grouped by: a `day` of UTC, an agent with its name, or a model with that at its provider.

    Each currency has a row of its own; without prices `cost` and `currency` are null. `attempts` are calls of a
    provider, of which `estimated_attempts` were told no number of tokens. `input_tokens` include `cached_tokens`.
    """

    day: str | UnsetType = UNSET
    agent_id: str | UnsetType | None = UNSET
    agent_name: str | UnsetType | None = UNSET
    model: str | UnsetType = UNSET
    model_name: str | UnsetType = UNSET
    runs: int
    attempts: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    estimated_attempts: int
    cost: Decimal | None
    currency: str | None

    @classmethod
    def of(cls, grouping: Grouping, one: UsageSum) -> "UsageRow":
        keys: dict[str, Any] = dict(zip(KEYS[grouping], (one.key, one.name), strict=False))
        numbers = {name: getattr(one, name) for name in NUMBERS}
        return cls(**keys, **numbers, cost=one.cost, currency=one.currency or None)


class Allowed(Struct):
    """Both are null without a limit."""

    used: int
    limit: int | None
    left: int | None

    @classmethod
    def of(cls, used: int, limit: int | None) -> "Allowed":
        return cls(used, limit, None if limit is None else max(0, limit - used))


class AllowedCost(Struct):
    currency: str
    used: Decimal
    limit: Decimal | None
    left: Decimal | None

    @classmethod
    def of(cls, currency: str, used: int, limit: int | None) -> "AllowedCost":
        left = None if limit is None else exact(max(0, limit - used))
        return cls(currency, exact(used), None if limit is None else exact(limit), left)


class QuotaView(Struct):
    """Of this day of UTC, which ends at `resets_at`. `open_runs` are in the making, and not yet in what is used."""

    tokens: Allowed
    runs: Allowed
    costs: list[AllowedCost]
    open_runs: int
    resets_at: str

    @classmethod
    def of(cls, state: QuotaState) -> "QuotaView":
        quota, spent = state.quota, state.spent
        return cls(
            Allowed.of(spent.tokens, quota.tokens),
            Allowed.of(spent.runs, quota.runs),
            [AllowedCost.of(name, cost, quota.cost_nanos) for name, cost in sorted(spent.costs.items())],
            spent.open_runs,
            rfc3339(state.resets_at),
        )


_REPORT: Final[Mapping[int, ResponseSpec]] = {
    200: ResponseSpec(
        PageEnvelope[UsageRow],
        generate_examples=False,
        description="Days come newest first; agents and models by their tokens, most first. With format=csv the same "
        "rows as text/csv, the names of the columns first.",
    )
}
_QUOTA: Final[Mapping[int, ResponseSpec]] = {200: ResponseSpec(Envelope[QuotaView], generate_examples=False)}
_EDGE: Final = "A date, which means the whole of its day in UTC, or a moment with its zone"


@get("/usage", summary="What one used, by day, agent or model", tags=TAGS, responses=_REPORT)
@inject
async def report_usage(
    caller: FromDishka[Caller],
    report: FromDishka[ReportUsage],
    group_by: Annotated[str, QueryParameter(description="day, agent or model")] = "day",
    since: Annotated[str | None, QueryParameter(name="from", description=f"{_EDGE}; else 30 days are told")] = None,
    until: Annotated[
        str | None, QueryParameter(name="to", description=f"{_EDGE}, itself no longer in it; else the end of today")
    ] = None,
    wanted: Annotated[str, QueryParameter(name="format", description="json or csv")] = "json",
) -> Response[bytes]:
    if wanted not in {"json", "csv"}:
        raise InvalidValue("format", "must be json or csv")
    found = await report(caller.user_id, group_by, since or None, until or None)
    if wanted == "csv":
        return _table(found)
    rows = page(UsageRow.of(found.grouping, one) for one in found.sums)
    return Response(_encode(rows), media_type="application/json")


def _table(found: UsageReport) -> Response[bytes]:
    keys = KEYS[found.grouping]
    header = (*keys, *NUMBERS, "cost", "currency")
    text = csv_text(header, (_cells(len(keys), one) for one in found.sums))
    first, last = (iso_day(at // DAY_MS) for at in (found.period.since, found.period.until - 1))
    name = f"usage-by-{found.grouping}-{first}-to-{last}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "X-Content-Type-Options": "nosniff"}
    return Response(text.encode(), media_type=MEDIA_TYPE, headers=headers)


def _cells(keys: int, one: UsageSum) -> list[Cell]:
    cost = None if one.cost is None else f"{one.cost:f}"
    return [*(one.key, one.name)[:keys], *(getattr(one, name) for name in NUMBERS), cost, one.currency or None]


@get("/usage/quota", summary="What one may use today, and what of it is left", tags=TAGS, responses=_QUOTA)
@inject
async def show_quota(caller: FromDishka[Caller], show: FromDishka[ShowQuota]) -> Response[bytes]:
    state = await show(caller.user_id)
    return Response(_encode(ok(QuotaView.of(state))), media_type="application/json")


usage_handlers: list[HTTPRouteHandler] = [report_usage, show_quota]
