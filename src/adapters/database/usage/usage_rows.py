"""Attempts as rows of the ledger: pure translation."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from adapters.database.conversations.message_rows import storable
from domain.models.attempts import Attempt
from domain.usage.quotas import Spent
from domain.usage.usage import NANOS_A_UNIT, Grouping, UsageSum, iso_day

LARGEST_INTEGER: Final = 2**31 - 1
LARGEST: Final = 2**63 - 1


def from_attempts(attempts: Sequence[Attempt], call: str) -> list[dict[str, Any]]:
    """`call` names what they were made for, so that the same ones told again are the same rows."""
    return [_from_attempt(attempt, f"{call}:{number}") for number, attempt in enumerate(attempts)]


def as_json(rows: Sequence[Mapping[str, Any]]) -> str:
    """As Postgres takes them."""
    return msgspec.json.encode(rows).decode()


def as_bound(row: Mapping[str, Any]) -> dict[str, Any]:
    """As SQLite takes each."""
    return {f"l_{name}": value for name, value in row.items()}


def _from_attempt(attempt: Attempt, entry_id: str) -> dict[str, Any]:
    usage, cost = attempt.usage, attempt.cost_nanos
    return {
        "entry_id": entry_id,
        "at": attempt.at,
        "purpose": attempt.purpose.value,
        "llm_id": storable(attempt.llm_id),
        "provider": attempt.provider.value,
        "model": storable(attempt.model),
        "input_tokens": _bounded(usage.input_tokens),
        "output_tokens": _bounded(usage.output_tokens),
        "cached_tokens": _bounded(usage.cached_tokens),
        "estimated": usage.estimated,
        "cost_nanos": None if cost is None else max(0, min(cost, LARGEST)),
        "currency": "" if cost is None else storable(attempt.currency),
        "first_token_ms": None if attempt.first_token_ms is None else _bounded(attempt.first_token_ms),
        "duration_ms": _bounded(attempt.duration_ms),
        "outcome": storable(attempt.outcome),
    }


def _bounded(count: int) -> int:
    """A clock that was set back, or a provider that counts wildly, loses no answer."""
    return max(0, min(count, LARGEST_INTEGER))


def to_sum(grouping: Grouping, row: Any) -> UsageSum:
    attempts, runs, input_tokens, output_tokens, cached_tokens, estimated, units, rest, currency, key, *name = row
    return UsageSum(
        key=iso_day(key) if grouping is Grouping.DAY else key,
        name=name[0] if name else None,
        runs=int(runs),
        attempts=int(attempts),
        input_tokens=int(input_tokens),
        output_tokens=int(output_tokens),
        cached_tokens=int(cached_tokens),
        estimated_attempts=int(estimated),
        cost_nanos=_nanos(units, rest),
        currency=currency,
    )


def to_spent(rows: Any) -> Spent:
    """A row for each currency, with the same counts of runs in each; one with NULLs when nothing was used."""
    open_runs, runs, *_ = rows[0]
    used = [row[2:] for row in rows if row[2] is not None]
    return Spent(
        tokens=sum(int(tokens) for _, tokens, _, _ in used),
        runs=int(runs),
        costs={currency: cost for currency, _, *parts in used if (cost := _nanos(*parts)) is not None},
        open_runs=int(open_runs),
    )


def _nanos(units: Any, rest: Any) -> int | None:
    return None if units is None else int(units) * NANOS_A_UNIT + int(rest)
