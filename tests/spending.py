"""Attempts as the ledger of usage keeps them, and runs that were made of them."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st
from sqlalchemy import select

from adapters.database.transactions import DatabaseTransactions
from adapters.database.usage.usage_tables import usage_ledger
from domain.conversation.conversation import Usage
from domain.ids import AgentId, ModelId, RunId, UserId, new_id
from domain.models.attempts import ANSWERED, INTERRUPTED, Attempt, Purpose
from domain.models.models import Provider
from domain.usage.usage import DAY_MS, Grouping, Period, UsageSum, milliseconds
from stored import finished, open_answer, question, run_of

NOON = milliseconds(datetime(2026, 11, 3, 12, tzinfo=UTC))
ALL_TIME = Period(0, 2**62)
EVERYTHING = 10_000


def attempt(**changes: Any) -> Attempt:
    made = Attempt(ModelId("gpt-4"), Provider.OPENAI, "gpt-4.1", Usage(100, 20), ANSWERED, NOON, 900, 300)
    return replace(made, **{"cost_nanos": 1_500, "currency": "USD"} | changes)


def attempts(most: int = 8) -> st.SearchStrategy[list[Attempt]]:
    """Of a few models, days and currencies, so that they meet."""
    counts = st.one_of(st.integers(0, 50), st.integers(0, 2**31 - 1))
    one = st.builds(
        lambda model, usage, outcome, at, cost, purpose: attempt(
            llm_id=ModelId(model),
            model=f"{model}-2026",
            usage=usage,
            outcome=outcome,
            at=at,
            cost_nanos=None if cost is None else cost[0],
            currency="" if cost is None else cost[1],
            purpose=purpose,
        ),
        st.sampled_from(["gpt-4", "offline", "=1+1", "模型"]),
        st.builds(Usage, counts, counts, counts, st.booleans()),
        st.sampled_from([ANSWERED, INTERRUPTED, "model_timeout"]),
        st.integers(NOON - 2 * DAY_MS, NOON + 2 * DAY_MS),
        st.none() | st.tuples(st.integers(0, 2**63 - 1), st.sampled_from(["USD", "EUR"])),
        st.sampled_from(Purpose),
    )
    return st.lists(one, max_size=most)


async def spend(
    transactions: DatabaseTransactions, owner: UserId, *made: Attempt, agent_id: str | None = "default"
) -> RunId:
    """A run of the owner's, in a dialog that is there, that ended with these attempts."""
    answer = open_answer(agent_id=None if agent_id is None else AgentId(agent_id))
    async with transactions.autocommit() as tx:
        await tx.runs.open(run_of(answer, owner), question(), answer)
        assert await tx.runs.close(finished(answer, attempts=made), (), owner=owner)
    return answer.run_id


async def noted(
    transactions: DatabaseTransactions, owner: UserId, made: Sequence[Attempt], agent_id: str | None = None
) -> RunId:
    """The same without dialog and answer."""
    run_id = RunId(new_id())
    async with transactions.autocommit() as tx:
        await tx.ledger.add(owner, None if agent_id is None else AgentId(agent_id), run_id, made)
    return run_id


async def sums(
    transactions: DatabaseTransactions, owner: UserId, grouping: Grouping = Grouping.MODEL, period: Period = ALL_TIME
) -> list[UsageSum]:
    async with transactions.autocommit() as tx:
        found = await tx.ledger.report(grouping, period, EVERYTHING, owner=owner)
    return sorted(found, key=lambda one: (one.key or "", one.name or "", one.currency))


async def outcomes(transactions: DatabaseTransactions, owner: UserId) -> list[str]:
    """Of each attempt, as they began."""
    return [one["outcome"] for one in await entries(transactions, owner)]


async def entries(transactions: DatabaseTransactions, owner: UserId) -> list[dict[str, Any]]:
    """The rows as they lie there, but for their ids."""
    chosen = select(*(column for column in usage_ledger.c if column.name != "entry_id"))
    ordered = chosen.where(usage_ledger.c.user_id == owner).order_by(usage_ledger.c.at, usage_ledger.c.entry_id)

    def read() -> list[dict[str, Any]]:
        with transactions.database.writer.connect() as connection:
            return [dict(row) for row in connection.execute(ordered).mappings()]

    return await transactions.database.run(read)
