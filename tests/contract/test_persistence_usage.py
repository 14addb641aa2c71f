"""The ledger of usage: every attempt once, whoever closes its run; its sums add up, and are the owner's alone."""

import asyncio
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.database.transactions import DatabaseTransactions
from application.ports.pauses import WrittenPause
from domain.conversation.conversation import Usage
from domain.errors import Unauthenticated
from domain.ids import AgentId, ModelId, RunId
from domain.models.attempts import ANSWERED, INTERRUPTED, Attempt, Purpose
from domain.usage.quotas import Spent
from domain.usage.usage import DAY_MS, Grouping, Period, UsageSum
from spending import ALL_TIME, EVERYTHING, NOON, attempt, attempts, entries, noted, outcomes, spend, sums
from stored import DIALOG, NOBODY, agent, finished, opened, piece, registered, with_dialog

FEW = settings(max_examples=25)
SYSTEM = [ModelId(name) for name in ("gpt-4", "offline", "=1+1", "模型")]


async def test_what_a_run_used_is_kept_with_its_end(transactions: DatabaseTransactions) -> None:
    owner = await with_dialog(transactions)
    first = attempt(usage=Usage(100, 0, 60, estimated=True), outcome="model_timeout", first_token_ms=None)
    second = attempt(llm_id=ModelId("other"), model="o-1", usage=Usage(7, 5, 0), cost_nanos=None, currency="")
    await spend(transactions, owner, first, second)
    assert await sums(transactions, owner) == [
        UsageSum("gpt-4", "gpt-4.1", 1, 1, 100, 0, 60, 1, 1_500, "USD"),
        UsageSum("other", "o-1", 1, 1, 7, 5, 0, 0, None, ""),
    ]
    assert await sums(transactions, owner, Grouping.AGENT) == [
        UsageSum("default", "Assistant", 1, 1, 7, 5, 0, 0, None, ""),
        UsageSum("default", "Assistant", 1, 1, 100, 0, 60, 1, 1_500, "USD"),
    ]
    assert [one.key for one in await sums(transactions, owner, Grouping.DAY)] == ["2026-11-03"] * 2


async def test_a_row_says_all_that_is_known_of_its_call(transactions: DatabaseTransactions) -> None:
    owner = await with_dialog(transactions)
    first = attempt(usage=Usage(100, 0, 60, estimated=True), outcome="model_timeout", first_token_ms=None)
    second = attempt(at=NOON + 1, usage=Usage(7, 5, 0), cost_nanos=None, currency="", purpose=Purpose.TEST)
    run_id = await spend(transactions, owner, first)
    async with transactions.autocommit() as tx:
        await tx.ledger.add(owner, None, None, [second])
    common = {"user_id": owner, "llm_id": "gpt-4", "provider": "openai", "model": "gpt-4.1", "duration_ms": 900}
    assert await entries(transactions, owner) == [
        common
        | {"run_id": run_id, "agent_id": "default", "purpose": "answer", "at": NOON, "outcome": "model_timeout"}
        | {"input_tokens": 100, "output_tokens": 0, "cached_tokens": 60, "estimated": True}
        | {"cost_nanos": 1_500, "currency": "USD", "first_token_ms": None},
        common
        | {"run_id": None, "agent_id": None, "purpose": "test", "at": NOON + 1, "outcome": ANSWERED}
        | {"input_tokens": 7, "output_tokens": 5, "cached_tokens": 0, "estimated": False}
        | {"cost_nanos": None, "currency": "", "first_token_ms": 300},
    ]


async def test_closing_with_attempts_is_one_statement_on_a_server(
    transactions: DatabaseTransactions, statements: list[str]
) -> None:
    owner = await with_dialog(transactions)
    run, _, answer = await opened(transactions, owner)
    statements.clear()
    async with transactions.autocommit() as tx:
        made = tuple(attempt(at=NOON + number) for number in range(50))
        assert await tx.runs.close(finished(answer, attempts=made), [piece(run.run_id, 1, "a")], owner=owner)
    assert len(statements) == (1 if transactions.database.dialect == "postgresql" else 5)
    assert [one.attempts for one in await sums(transactions, owner)] == [50]


async def test_of_many_closers_at_once_the_attempts_of_the_winner_are_kept(transactions: DatabaseTransactions) -> None:
    owner = await with_dialog(transactions)
    _, _, answer = await opened(transactions, owner)

    async def close(number: int) -> bool:
        one = finished(answer, f"{number}", attempts=(attempt(usage=Usage(number, 0)),))
        async with transactions.autocommit() as tx:
            return await tx.runs.close(one, (), owner=owner) and await tx.runs.close(one, (), owner=owner)

    won = await asyncio.gather(*(close(number) for number in range(6)))
    assert won.count(True) == 1
    (only,) = await sums(transactions, owner)
    assert (only.attempts, only.input_tokens) == (1, won.index(True))


async def test_a_closing_that_fails_keeps_no_attempt(transactions: DatabaseTransactions) -> None:
    owner = await with_dialog(transactions)
    _, _, answer = await opened(transactions, owner)

    async def fail_behind_it() -> None:
        async with transactions.begin() as tx:
            assert await tx.runs.close(finished(answer, attempts=(attempt(),)), (), owner=owner)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail_behind_it()
    assert await sums(transactions, owner) == []


async def test_two_attempts_of_one_moment_are_two_rows(transactions: DatabaseTransactions) -> None:
    owner = await with_dialog(transactions)
    await spend(transactions, owner, attempt(), attempt())
    await noted(transactions, owner, [attempt(), attempt()])
    assert [(one.attempts, one.runs) for one in await sums(transactions, owner)] == [(4, 2)]


async def test_work_outside_of_runs_is_kept_too(transactions: DatabaseTransactions) -> None:
    owner = await registered(transactions)
    async with transactions.autocommit() as tx:
        await tx.ledger.add(owner, AgentId("default"), None, [attempt(purpose=Purpose.SUMMARY)])
        await tx.ledger.add(owner, None, None, [attempt(purpose=Purpose.TEST)])
        await tx.ledger.add(owner, None, None, [])
    assert [(one.key, one.name, one.runs, one.attempts) for one in await sums(transactions, owner, Grouping.AGENT)] == [
        (None, None, 0, 1),
        ("default", "Assistant", 0, 1),
    ]


async def test_what_began_is_kept_until_its_end_takes_its_place(transactions: DatabaseTransactions) -> None:
    owner, other = await registered(transactions), await registered(transactions)
    began, ended = attempt(outcome=INTERRUPTED, cost_nanos=None, currency=""), attempt(usage=Usage(7, 3, 2))
    again = attempt(at=NOON + 1)
    async with transactions.autocommit() as tx:
        await tx.ledger.begin(owner, AgentId("default"), "call", [began])
        await tx.ledger.begin(other, None, "call", [began])
    assert await outcomes(transactions, owner) == [INTERRUPTED]
    async with transactions.autocommit() as tx:
        for _ in range(2):
            await tx.ledger.add(owner, AgentId("default"), None, [ended, again], "call")
        await tx.ledger.begin(NOBODY, None, "call", [began])
    (found,) = await sums(transactions, owner)
    assert (found.attempts, found.input_tokens, found.cached_tokens, found.cost_nanos) == (2, 107, 2, 3_000)
    assert await outcomes(transactions, owner) == [ANSWERED, ANSWERED]
    assert await outcomes(transactions, other) == [INTERRUPTED]


async def test_rows_outlive_dialogs_and_agents_and_go_with_the_account(transactions: DatabaseTransactions) -> None:
    owner, other = await with_dialog(transactions), await with_dialog(transactions)
    one = agent(owner)
    async with transactions.begin() as tx:
        await tx.agents.add(one)
    await spend(transactions, owner, attempt(), agent_id=one.agent_id)
    await spend(transactions, other, attempt())
    assert [row.name for row in await sums(transactions, owner, Grouping.AGENT)] == ["Ada"]
    async with transactions.begin() as tx:
        await tx.dialogs.remove(DIALOG, owner=owner)
        await tx.agents.remove(one)
    assert [(row.key, row.name) for row in await sums(transactions, owner, Grouping.AGENT)] == [(one.agent_id, None)]
    async with transactions.begin() as tx:
        await tx.users.remove(owner)
    async with transactions.autocommit() as tx:
        assert await tx.ledger.remove_before(NOON + DAY_MS, 100) == 1


async def test_of_an_account_that_is_gone_nothing_is_kept_and_nothing_told(transactions: DatabaseTransactions) -> None:
    async with transactions.autocommit() as tx:
        await tx.ledger.add(NOBODY, None, None, [attempt()])
        for grouping in Grouping:
            with pytest.raises(Unauthenticated):
                await tx.ledger.report(grouping, ALL_TIME, EVERYTHING, owner=NOBODY)
        with pytest.raises(Unauthenticated):
            await tx.ledger.spent(0, SYSTEM, owner=NOBODY)
        assert await tx.ledger.remove_before(NOON + DAY_MS, 100) == 0


async def test_one_sees_ones_own_usage_alone(transactions: DatabaseTransactions) -> None:
    owner, other = await with_dialog(transactions), await with_dialog(transactions)
    await spend(transactions, other, attempt())
    for grouping in Grouping:
        assert await sums(transactions, owner, grouping) == []
    async with transactions.autocommit() as tx:
        assert await tx.ledger.spent(0, SYSTEM, owner=owner) == Spent()


async def test_each_question_of_the_ledger_is_one_statement(
    transactions: DatabaseTransactions, statements: list[str]
) -> None:
    owner = await with_dialog(transactions)
    await spend(transactions, owner, attempt(), attempt(currency="EUR"))
    async with transactions.autocommit() as tx:
        for grouping in Grouping:
            statements.clear()
            assert len(await tx.ledger.report(grouping, ALL_TIME, EVERYTHING, owner=owner)) == 2
            assert len(statements) == 1
        statements.clear()
        assert await tx.ledger.spent(NOON, SYSTEM, owner=owner) == Spent(240, 1, {"EUR": 1_500, "USD": 1_500})
        assert len(statements) == 1


async def test_open_runs_are_told_beside_what_was_used(transactions: DatabaseTransactions) -> None:
    owner = await with_dialog(transactions)
    await spend(transactions, owner, attempt(cost_nanos=None))
    await opened(transactions, owner)
    async with transactions.autocommit() as tx:
        assert await tx.ledger.spent(NOON, SYSTEM, owner=owner) == Spent(120, 1, {}, open_runs=1)
        assert await tx.ledger.spent(NOON + 1, SYSTEM, owner=owner) == Spent(open_runs=1)


async def test_tokens_and_costs_are_those_of_the_systems_models_and_runs_are_all(
    transactions: DatabaseTransactions,
) -> None:
    owner = await with_dialog(transactions)
    own = attempt(llm_id=ModelId("01M84VFDMM3V7P61V2AHM73P5N"), currency="JPY", cost_nanos=6 * 10**9)
    await spend(transactions, owner, own)
    await spend(transactions, owner, own, attempt())
    async with transactions.autocommit() as tx:
        assert await tx.ledger.spent(NOON, SYSTEM, owner=owner) == Spent(120, 2, {"USD": 1_500})
        assert await tx.ledger.spent(NOON, [], owner=owner) == Spent(runs=2)
        assert await tx.ledger.spent(NOON + 1, SYSTEM, owner=owner) == Spent()


async def test_a_run_that_waits_counts_by_what_it_used_and_one_that_goes_on_once(
    transactions: DatabaseTransactions,
) -> None:
    owner = await with_dialog(transactions)
    run, _, answer = await opened(transactions, owner)
    used = finished(answer, attempts=(attempt(),))

    async def told(but: RunId | None = None) -> tuple[int, int, int]:
        async with transactions.autocommit() as tx:
            spent = await tx.ledger.spent(NOON, SYSTEM, owner=owner, but=but)
        return spent.tokens, spent.runs, spent.open_runs

    assert await told() == (0, 0, 1)
    async with transactions.begin() as tx:
        await tx.ledger.keep_used(used, owner=owner)
        assert await tx.pauses.put(run.run_id, WrittenPause(0, b"{}"), run.lease_until)
    assert (await told(), await told(run.run_id)) == ((120, 1, 0), (120, 0, 0))
    async with transactions.begin() as tx:
        await tx.pauses.end(run.run_id, run.lease_until)
    assert await told() == (120, 0, 1)
    async with transactions.autocommit() as tx:
        assert await tx.runs.close(replace(used, attempts=(attempt(), attempt(at=NOON + 1))), (), owner=owner)
    assert await told() == (240, 1, 0)


async def test_numbers_that_no_column_holds_lose_no_answer(transactions: DatabaseTransactions) -> None:
    owner = await with_dialog(transactions)
    wild = attempt(
        usage=Usage(2**40, -5, 2**31), cost_nanos=2**80, duration_ms=-1, first_token_ms=2**33, model="a\x00\ud800"
    )
    await spend(transactions, owner, wild, wild)
    (only,) = await sums(transactions, owner)
    assert (only.name, only.input_tokens, only.output_tokens) == ("a\ufffd?", 2 * (2**31 - 1), 0)
    assert only.cost_nanos == 2 * (2**63 - 1)


async def test_old_rows_go_in_portions(transactions: DatabaseTransactions) -> None:
    owner = await registered(transactions)
    await noted(transactions, owner, [attempt(at=NOON + number) for number in range(7)])
    async with transactions.autocommit() as tx:
        assert await tx.ledger.remove_before(NOON + 5, 3) == 3
        assert await tx.ledger.remove_before(NOON + 5, 3) == 2
        assert await tx.ledger.remove_before(NOON + 5, 3) == 0
    assert [one.attempts for one in await sums(transactions, owner)] == [2]


Plain = tuple[int, int, int, int, int]


def plain(one: UsageSum) -> Plain:
    return one.attempts, one.input_tokens, one.output_tokens, one.cached_tokens, one.cost_nanos or 0


def totals(found: list[UsageSum]) -> dict[str, Counter[int]]:
    """By currency: the numbers added up."""
    by_currency: dict[str, Counter[int]] = {}
    for one in found:
        by_currency.setdefault(one.currency, Counter()).update(dict(enumerate(plain(one))))
    return {currency: +numbers for currency, numbers in by_currency.items()}


def of_rows(made: list[Attempt]) -> dict[str, Counter[int]]:
    return totals(
        [
            UsageSum(None, None, 1, 1, usage.input_tokens, usage.output_tokens, usage.cached_tokens, 0, cost, currency)
            for one in made
            for usage, cost, currency in [(one.usage, one.cost_nanos, one.currency)]
        ]
    )


@FEW
@given(calls=st.lists(st.tuples(st.sampled_from([None, "default", "gone"]), attempts()), max_size=4))
async def test_days_agents_models_and_rows_have_one_sum(
    transactions: DatabaseTransactions, calls: list[tuple[str | None, list[Attempt]]]
) -> None:
    owner = await registered(transactions)
    for agent_id, made in calls:
        await noted(transactions, owner, made, agent_id)
    rows = [one for _, made in calls for one in made]
    for grouping in Grouping:
        found = await sums(transactions, owner, grouping)
        assert totals(found) == of_rows(rows)
        assert len({(one.key, one.name, one.currency) for one in found}) == len(found)
        assert sum(one.estimated_attempts for one in found) == sum(one.usage.estimated for one in rows)
        assert sum(one.runs for one in found) >= len([made for _, made in calls if made])
    async with transactions.autocommit() as tx:
        spent = await tx.ledger.spent(0, SYSTEM, owner=owner)
    assert spent.tokens == sum(one.usage.input_tokens + one.usage.output_tokens for one in rows)
    assert spent.runs == len([made for _, made in calls if made])
    costs: Counter[str] = Counter()
    for one in rows:
        costs.update({one.currency: one.cost_nanos} if one.cost_nanos is not None else {})
    assert Counter(spent.costs) == costs


@FEW
@given(made=attempts(), cuts=st.lists(st.integers(NOON - 3 * DAY_MS, NOON + 3 * DAY_MS), max_size=4))
async def test_the_parts_of_a_period_add_up_to_it(
    transactions: DatabaseTransactions, made: list[Attempt], cuts: list[int]
) -> None:
    owner = await registered(transactions)
    await noted(transactions, owner, made)
    edges = [NOON - 4 * DAY_MS, *sorted(cuts), NOON + 4 * DAY_MS]
    for grouping in Grouping:
        parts = [
            one
            for since, until in pairwise(edges)
            for one in await sums(transactions, owner, grouping, Period(since, until))
        ]
        assert totals(parts) == of_rows(made)


async def test_the_edges_of_a_period_are_its_first_and_the_first_after_it(transactions: DatabaseTransactions) -> None:
    owner = await registered(transactions)
    await noted(transactions, owner, [attempt(at=NOON + step) for step in (-1, 0, 1, 2)])
    (found,) = await sums(transactions, owner, Grouping.DAY, Period(NOON, NOON + 2))
    assert found.attempts == 2


async def test_midnight_of_utc_parts_the_days(transactions: DatabaseTransactions) -> None:
    owner, midnight = await registered(transactions), NOON // DAY_MS * DAY_MS
    await noted(transactions, owner, [attempt(at=midnight + step) for step in (-1, 0, DAY_MS - 1)])
    found = await sums(transactions, owner, Grouping.DAY)
    assert [(one.key, one.attempts, one.runs) for one in found] == [("2026-11-02", 1, 1), ("2026-11-03", 2, 1)]
