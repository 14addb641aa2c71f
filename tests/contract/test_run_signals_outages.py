"""Whatever breaks between a process and its database, its watchers are woken and nobody sleeps through a change."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.database.runs.signals import LOG_CHANNEL, PostgresSignals
from domain.ids import RunId
from servers.listening import (
    AT_ONCE,
    CUT,
    ONE,
    OTHER,
    SOON,
    Sql,
    cancelled,
    comes,
    listening,
    say,
    stops,
    told,
    until,
)
from servers.postgres import Postgres
from servers.tcp_proxy import TcpProxy

MOMENTS = st.lists(st.integers(0, 40), min_size=1, max_size=12)


@pytest.fixture
async def sql(postgres_url: str) -> AsyncIterator[Sql]:
    connection = await asyncpg.connect(postgres_url)
    yield connection
    await connection.close()


@pytest.fixture
async def signals(postgres_url: str) -> AsyncIterator[PostgresSignals]:
    async with listening(PostgresSignals(postgres_url)) as signals:
        yield signals


@pytest.fixture
async def counter(postgres_url: str) -> AsyncIterator[Sql]:
    """A connection to a database with a counter."""
    connection = await asyncpg.connect(postgres_url)
    await connection.execute("CREATE TABLE counter AS SELECT 0 AS value")
    yield connection
    await connection.close()


@pytest.fixture(scope="module")
def own_server() -> Iterator[Postgres]:
    server = Postgres()
    try:
        yield server.start()
    finally:
        server.close()


def through(proxy: TcpProxy, url: str) -> str:
    return f"postgresql://postgres@127.0.0.1:{proxy.port}/{url.rpartition('/')[2]}"


async def test_an_undecodable_word_costs_a_connection_at_most(postgres: Postgres) -> None:
    """Only a database without an encoding lets such a word through."""
    postgres.execute("CREATE DATABASE bytes TEMPLATE template0 ENCODING 'SQL_ASCII'")
    sql = await asyncpg.connect(postgres.url("bytes"))
    async with listening(PostgresSignals(postgres.url("bytes"), ping_seconds=0.3)) as signals:
        with signals.watch(ONE) as one:
            await sql.execute(f"SELECT pg_notify('{LOG_CHANNEL}', E'\\xff')")
            await comes(one)
            await say(sql, ONE)
            await comes(one)
    await sql.close()
    postgres.execute("DROP DATABASE bytes WITH (FORCE)")


async def test_a_process_takes_one_connection_and_gives_it_back(
    postgres_url: str, sql: Sql, recwarn: pytest.WarningsRecorder
) -> None:
    async with listening(PostgresSignals(postgres_url)) as signals:
        with signals.watch(ONE) as one, signals.watch(OTHER), signals.watch(ONE):
            await until(sql, 1)
            await sql.execute(CUT)
            await comes(one)
            await until(sql, 1)
    await until(sql, 0)
    assert not [warning for warning in recwarn if "unclosed connection" in str(warning.message)]


async def test_a_cut_connection_is_made_anew_and_all_are_woken(
    signals: PostgresSignals, sql: Sql, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "agentchat.signals")
    heard: list[RunId] = []
    signals.on_stop(heard.append)
    with signals.watch(ONE) as one, signals.watch(OTHER) as other:
        for _ in range(3):
            await sql.execute(CUT)
            await comes(one)
            await comes(other)
        await say(sql, OTHER)
        await comes(other, AT_ONCE)
        assert not one.is_set()
        await stops(sql, signals, ONE)
    assert heard == [ONE]
    assert told(caplog) == ["WARNING signals_lost", "INFO signals_back"] * 3


@pytest.mark.parametrize("crash", [False, True])
async def test_a_restarted_server_is_heard_again(own_server: Postgres, crash: bool) -> None:
    async with listening(PostgresSignals(own_server.url())) as signals:
        with signals.watch(ONE) as one:
            await asyncio.to_thread(own_server.stop, crash=crash)
            assert not one.is_set()
            await asyncio.to_thread(own_server.start)
            await comes(one)
            sql = await asyncpg.connect(own_server.url())
            await say(sql, ONE)
            await comes(one, AT_ONCE)
            await sql.close()


async def test_an_outage_is_told_once_with_its_cause_and_when_it_is_over(
    postgres: Postgres, postgres_url: str, sql: Sql, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "agentchat.signals")
    async with TcpProxy(postgres.port) as proxy:
        async with listening(PostgresSignals(through(proxy, postgres_url))) as signals:
            with signals.watch(ONE) as one:
                for _ in range(2):
                    proxy.manner = "refuse"
                    await sql.execute(CUT)
                    await proxy.newcomers(2)
                    proxy.manner = "forward"
                    await comes(one)
    assert told(caplog) == ["WARNING signals_lost", "INFO signals_back"] * 2
    causes = [record.__dict__["cause"] for record in caplog.records if record.message == "signals_lost"]
    assert causes == ["ConnectionResetError: the server closed the connection"] * 2


async def test_a_server_that_was_away_at_the_start_is_found(postgres: Postgres, postgres_url: str, sql: Sql) -> None:
    async with TcpProxy(postgres.port) as proxy:
        proxy.manner = "refuse"
        signals = PostgresSignals(through(proxy, postgres_url))
        with signals.watch(ONE) as one:
            task = asyncio.create_task(signals.listen())
            await proxy.newcomers(2)
            assert not one.is_set()
            proxy.manner = "forward"
            await comes(one)
            await say(sql, ONE)
            await comes(one, AT_ONCE)
        await cancelled(task)


async def test_a_frozen_connection_is_found_out(postgres: Postgres, postgres_url: str, sql: Sql) -> None:
    async with TcpProxy(postgres.port) as proxy:
        async with listening(PostgresSignals(through(proxy, postgres_url), ping_seconds=0.5)) as signals:
            with signals.watch(ONE) as one:
                proxy.freeze()
                await say(sql, ONE)
                await comes(one)
                await say(sql, ONE)
                await comes(one, AT_ONCE)


@pytest.mark.parametrize("manner", ["hold", "refuse"])
async def test_leaving_takes_a_moment_while_the_server_is_away(postgres_url: str, manner: str) -> None:
    async with TcpProxy(1) as proxy:
        proxy.manner = "hold" if manner == "hold" else "refuse"
        task = asyncio.create_task(PostgresSignals(through(proxy, postgres_url)).listen())
        await proxy.newcomers(1)
        assert await cancelled(task) < AT_ONCE


async def test_leaving_takes_a_moment_while_the_connection_is_frozen(postgres: Postgres, postgres_url: str) -> None:
    async with TcpProxy(postgres.port) as proxy:
        async with listening(PostgresSignals(through(proxy, postgres_url), ping_seconds=5.0)):
            proxy.freeze()
            began = time.monotonic()
    assert time.monotonic() - began < AT_ONCE


@pytest.mark.parametrize("tail", ["@127.0.0.1:1/x", "/@127.0.0.1:1/x", "#@127.0.0.1:1/x", "@[/x", "@h:p/x?sslmode=x"])
async def test_the_log_never_shows_a_password(tail: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    task = asyncio.create_task(PostgresSignals(f"postgresql://someone:s3cret{tail}").listen())
    async with asyncio.timeout(SOON):
        while "signals_lost" not in caplog.messages:
            await asyncio.sleep(0.01)
    await cancelled(task)
    assert all("s3cret" not in str(record.__dict__) for record in caplog.records)


@settings(max_examples=25)
@given(writes=MOMENTS, cuts=st.lists(st.integers(0, 150), max_size=3))
async def test_no_reader_sleeps_through_a_change(
    postgres_url: str, counter: Sql, sql: Sql, writes: list[int], cuts: list[int]
) -> None:
    """Clear, look, wait: with the listener cut at any moments, a wait ends by a word or by the reconnection."""
    await counter.execute("UPDATE counter SET value = 0")

    async def write() -> None:
        for milliseconds in writes:
            await asyncio.sleep(milliseconds / 1000)
            async with sql.transaction():
                await sql.execute("UPDATE counter SET value = value + 1")
                await say(sql, ONE)

    async def cut() -> None:
        killer = await asyncpg.connect(postgres_url)
        for milliseconds in cuts:
            await asyncio.sleep(milliseconds / 1000)
            await killer.execute(CUT)
        await killer.close()

    async def read() -> None:
        seen = 0
        while seen < len(writes):
            event.clear()
            found = await counter.fetchval("SELECT value FROM counter")
            if found == seen:
                await asyncio.wait_for(event.wait(), SOON)
            seen = found

    async with listening(PostgresSignals(postgres_url)) as signals:
        with signals.watch(ONE) as event:
            await asyncio.gather(read(), write(), cut())
