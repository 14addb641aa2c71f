"""Word between processes reaches its watchers at once, and nobody else."""

import asyncio
import time
from collections.abc import AsyncIterator

import asyncpg
import pytest

from adapters.database.runs.signals import IDS_PER_WORD, LOG_CHANNEL, LocalSignals, PostgresSignals
from application.ports.run_signals import RunSignals
from domain.ids import RunId, new_id
from servers.listening import AT_ONCE, FENCE, ONE, OTHER, OURS, Sql, cancelled, comes, listening, say, stops, told

STRANGE = ["", ",", ",,one,,", "one,", "\n", " one ", "💥,\x01", "'; DROP TABLE runs", "x" * 7999, "," * 7999]


@pytest.fixture
async def sql(postgres_url: str) -> AsyncIterator[Sql]:
    connection = await asyncpg.connect(postgres_url)
    yield connection
    await connection.close()


@pytest.fixture
async def signals(postgres_url: str) -> AsyncIterator[PostgresSignals]:
    async with listening(PostgresSignals(postgres_url)) as signals:
        yield signals


async def test_word_reaches_the_watcher_of_its_run_and_no_other(signals: PostgresSignals, sql: Sql) -> None:
    with signals.watch(ONE) as one, signals.watch(OTHER) as other:
        await say(sql, ONE)
        await comes(one, AT_ONCE)
        assert not other.is_set()
        await say(sql, OTHER)
        await comes(other, AT_ONCE)
        assert not one.is_set()


async def test_one_word_speaks_of_several_runs(signals: PostgresSignals, sql: Sql) -> None:
    with signals.watch(ONE) as one, signals.watch(OTHER) as other, signals.watch(FENCE) as fence:
        await say(sql, "nobody's", ONE, OTHER)
        await comes(one, AT_ONCE)
        await comes(other, AT_ONCE)
        assert not fence.is_set()


async def test_a_word_holds_as_many_ids_as_promised(signals: PostgresSignals, sql: Sql) -> None:
    ids = [RunId(new_id()) for _ in range(IDS_PER_WORD)]
    with signals.watch(ids[0]) as first, signals.watch(ids[-1]) as last:
        await say(sql, *ids)
        await comes(first)
        await comes(last)
    with pytest.raises(asyncpg.PostgresError):
        await say(sql, *ids, new_id())


async def test_all_watchers_of_a_run_hear_until_they_leave(signals: PostgresSignals, sql: Sql) -> None:
    with signals.watch(ONE) as first:
        with signals.watch(ONE) as second:
            await say(sql, ONE)
            await comes(first, AT_ONCE)
            await comes(second, AT_ONCE)
        await say(sql, ONE)
        await comes(first, AT_ONCE)
        assert not second.is_set()


async def test_nothing_is_kept_of_a_run_that_nobody_watches(signals: PostgresSignals, sql: Sql) -> None:
    with signals.watch(ONE), signals.watch(ONE), signals.watch(OTHER):
        await say(sql, "unknown")
        await stops(sql, signals, "unknown")
        assert set(signals._watchers) == {ONE, OTHER}
    with pytest.raises(ZeroDivisionError), signals.watch(ONE):
        raise ZeroDivisionError
    assert signals._watchers == {}


async def test_words_of_others_cost_next_to_nothing(signals: PostgresSignals) -> None:
    word = ",".join(new_id() for _ in range(IDS_PER_WORD))

    def seconds() -> float:
        began = time.process_time()
        for _ in range(200):
            signals._log_grew(None, 0, LOG_CHANNEL, word)
        return (time.process_time() - began) / 200

    assert min(seconds() for _ in range(5)) < 10e-6
    with signals.watch(ONE):
        assert min(seconds() for _ in range(5)) < 1e-3


async def test_a_request_to_stop_reaches_everyone_who_asked_for_it(signals: PostgresSignals, sql: Sql) -> None:
    first: list[RunId] = []
    second: list[RunId] = []
    signals.on_stop(first.append)
    signals.on_stop(second.append)
    await say(sql, OTHER)
    await stops(sql, signals, ONE, OTHER)
    assert first == second == [ONE, OTHER]


async def test_who_raises_at_a_stop_hinders_nobody(
    signals: PostgresSignals, sql: Sql, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(run_id: RunId) -> None:
        raise RuntimeError(run_id)

    heard: list[RunId] = []
    signals.on_stop(fail)
    signals.on_stop(heard.append)
    pid = await sql.fetchval(f"SELECT pid {OURS}")
    await stops(sql, signals, ONE, OTHER)
    await stops(sql, signals, ONE)
    assert heard == [ONE, OTHER, ONE]
    assert await sql.fetchval(f"SELECT pid {OURS}") == pid
    assert told(caplog) == ["ERROR stop_not_heard"] * 3


@pytest.mark.parametrize("payload", STRANGE)
async def test_a_strange_word_disturbs_nothing(signals: PostgresSignals, sql: Sql, payload: str) -> None:
    heard: list[RunId] = []
    signals.on_stop(heard.append)
    pid = await sql.fetchval(f"SELECT pid {OURS}")
    with signals.watch(OTHER) as other:
        await say(sql, payload)
        await stops(sql, signals, payload)
        assert not other.is_set()
        await stops(sql, signals, OTHER)
        assert heard[-1] == OTHER
        assert "" not in heard
        await say(sql, OTHER)
        await comes(other, AT_ONCE)
    assert await sql.fetchval(f"SELECT pid {OURS}") == pid


async def test_without_other_processes_its_own_word_is_all_that_is_heard() -> None:
    signals: RunSignals = LocalSignals()
    signals.on_stop(lambda _run_id: pytest.fail("nobody else can ask"))
    task = asyncio.create_task(signals.listen())
    with signals.watch(ONE) as one, signals.watch(ONE) as another:
        await asyncio.sleep(0)
        assert one is not another
        assert not one.is_set()
        signals.stored([OTHER])
        assert not one.is_set()
        signals.stored([ONE])
        assert one.is_set()
        assert another.is_set()
    signals.stored([ONE])
    assert await cancelled(task) < AT_ONCE
