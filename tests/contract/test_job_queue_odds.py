"""The JobQueue port against several workers and outages."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import suppress

import asyncpg
import pytest

from adapters.jobs import PostgresJobs
from domain.errors import Unavailable
from job_desk import LEASE, PATIENCE, JobDesk, Worker, emptied, job, through, working
from servers.postgres import Postgres
from servers.tcp_proxy import TcpProxy


@pytest.fixture
async def desk(database_url: str) -> AsyncIterator[JobDesk]:
    desk = JobDesk(database_url)
    yield desk
    await desk.aclose()


@pytest.fixture
async def on_postgres(postgres_url: str) -> AsyncIterator[JobDesk]:
    desk = JobDesk(postgres_url)
    yield desk
    await desk.aclose()


async def a_moment() -> None:
    await asyncio.sleep(random.random() * 0.01)


async def test_two_workers_never_do_one_job_at_the_same_time(desk: JobDesk) -> None:
    queue = desk.process()
    other = queue if desk.url.startswith("sqlite") else desk.process()
    subjects = [str(number) for number in range(12)]
    worker = Worker(dict.fromkeys(subjects, a_moment))
    async with working(queue, worker, places=4), working(other, worker, places=4):
        for _ in range(6):
            await asyncio.gather(*(queue.put(job(subject)) for subject in subjects))
        await emptied(queue)
        await worker.until(lambda: not any(worker.at_work.values()))
    assert worker.most == 1
    assert set(worker.ended) == set(subjects)


async def test_each_put_is_followed_by_a_whole_run(desk: JobDesk) -> None:
    """What was put is done after the put, whatever was at work then."""
    queue, worker = desk.process(), Worker(dict.fromkeys("ab", a_moment))
    async with working(queue, worker, places=2):
        for _ in range(6):
            before = len(worker.begun)
            await queue.put(job("a"))
            await worker.until(lambda before=before: "a" in worker.begun[before:])
        await emptied(queue)


async def test_workers_share_what_waits(on_postgres: JobDesk) -> None:
    queues = [on_postgres.process() for _ in range(2)]
    workers = [Worker({str(number): a_moment for number in range(60)}) for _ in queues]
    for number in range(60):
        await queues[0].put(job(str(number)))
    async with working(queues[0], workers[0], 2), working(queues[1], workers[1], 2):
        await emptied(queues[0])
    assert sorted(workers[0].begun + workers[1].begun) == sorted(str(number) for number in range(60))
    assert min(len(worker.begun) for worker in workers) > 5


async def test_a_job_that_takes_longer_than_a_lease_is_kept(on_postgres: JobDesk) -> None:
    queues = [on_postgres.process() for _ in range(2)]

    async def long() -> None:
        await asyncio.sleep(2.2 * LEASE)

    worker = Worker({"a": long})
    await queues[0].put(job("a"))
    async with working(queues[0], worker), working(queues[1], worker):
        await worker.until(lambda: worker.ended == ["a"])
        await emptied(queues[0])
    assert worker.begun == ["a"]


async def test_a_worker_that_lost_its_job_to_another_stops_doing_it(on_postgres: JobDesk) -> None:
    queue, worker = on_postgres.process(), Worker({"a": asyncio.Event().wait})
    await queue.put(job("a"))
    sql = await asyncpg.connect(on_postgres.url)
    async with working(queue, worker):
        await worker.until(lambda: worker.begun == ["a"])
        await sql.execute("UPDATE agentchat_jobs.pgqueuer SET queue_manager_id = gen_random_uuid(), heartbeat = now()")
        await worker.until(lambda: not any(worker.at_work.values()))
        assert await queue.waiting() == 1
    assert worker.ended == []
    assert on_postgres.told.failures == []
    await sql.close()


async def test_jobs_of_a_newer_version_are_left_to_it(on_postgres: JobDesk) -> None:
    queue, worker = on_postgres.process(), Worker()
    await queue.put(job("a"))
    sql = await asyncpg.connect(on_postgres.url)
    await sql.execute("UPDATE agentchat_jobs.pgqueuer SET entrypoint = 'dream'")
    await queue.put(job("b"))
    async with working(queue, worker):
        await worker.until(lambda: worker.ended == ["b"])
        await asyncio.sleep(0.2)
        assert await queue.waiting() == 1
    assert on_postgres.told.outages == []
    await sql.close()


async def test_several_processes_may_make_the_tables_at_once_and_again(on_postgres: JobDesk) -> None:
    tables = [on_postgres.table() for _ in range(4)]
    for _ in range(2):
        await asyncio.gather(*(table.prepare() for table in tables if isinstance(table, PostgresJobs)))
    await asyncio.gather(*(table.put(job(str(number))) for number, table in enumerate(tables)))
    assert await tables[0].waiting() == 4


async def test_the_variables_of_the_library_move_no_table(
    on_postgres: JobDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another program of the machine may use the library as well."""
    from adapters.jobs.schema import _settings

    for name in ("PGQUEUER_PREFIX", "PGQUEUER_SCHEMA", "QUEUE_TABLE", "PGQUEUER_CHANNEL", "DURABILITY"):
        monkeypatch.setenv(name, "balanced" if name == "DURABILITY" else "strange")
    assert _settings().qualified.queue_table == "agentchat_jobs.pgqueuer"
    assert _settings().channel == "agentchat_jobs"


@pytest.mark.parametrize("at_work", [False, True])
async def test_an_outage_is_waited_out_and_told_of_once(
    on_postgres: JobDesk, postgres: Postgres, at_work: bool
) -> None:
    async with TcpProxy(postgres.port) as proxy:
        queue = on_postgres.process(through(proxy.port, on_postgres.url))
        aside = on_postgres.process()
        release = asyncio.Event()

        async def wait() -> None:
            await release.wait()

        worker = Worker({"a": wait})
        async with working(queue, worker):
            if at_work:
                await aside.put(job("a"))
                await worker.until(lambda: worker.begun == ["a"])
            else:
                await asyncio.sleep(0.3)
            proxy.manner = "refuse"
            name = on_postgres.url.rpartition("/")[2]
            postgres.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                f"WHERE datname = '{name}' AND query LIKE '%LISTEN%' OR (datname = '{name}' AND state = 'idle')"
            )
            with pytest.raises(Unavailable):
                await queue.put(job("b"))
            release.set()
            async with asyncio.timeout(PATIENCE):
                while not on_postgres.told.outages:
                    await asyncio.sleep(0.02)
            await asyncio.sleep(0.5)
            await aside.put(job("c"))
            proxy.manner = "forward"
            await worker.until(lambda: "c" in worker.ended)
            await emptied(aside)
        assert [trouble is None for trouble in on_postgres.told.outages] == [False, True]
        assert worker.begun.count("a") == int(at_work)


async def test_a_connection_that_forwards_nothing_is_given_up(postgres: Postgres, on_postgres: JobDesk) -> None:
    async with TcpProxy(postgres.port) as proxy:
        url = through(proxy.port, on_postgres.url)
        table = PostgresJobs(lambda: asyncpg.connect(url, timeout=1), statement_seconds=0.5)
        await table.put(job("a"))
        proxy.freeze()
        async with asyncio.timeout(PATIENCE):
            with pytest.raises(Unavailable):
                await table.put(job("b"))
        await table.put(job("c"))
        assert await table.waiting() == 2
        await table.aclose()


async def test_a_put_that_is_cancelled_leaves_the_queue_usable(desk: JobDesk) -> None:
    queue = desk.process()
    await queue.put(job("first"))
    for round_ in range(20):
        putting = asyncio.create_task(queue.put(job(str(round_))))
        await asyncio.sleep(0.0003 * round_)
        putting.cancel()
        await asyncio.wait([putting])
    await queue.put(job("last"))
    assert 2 <= await queue.waiting() <= 22


async def test_a_worker_stops_also_while_the_database_is_away(free_tcp_port: int) -> None:
    desk = JobDesk(f"postgresql://postgres@127.0.0.1:{free_tcp_port}/none")
    stop = asyncio.Event()
    work = asyncio.create_task(desk.process().work(Worker(), 2, stop=stop))
    async with asyncio.timeout(PATIENCE):
        while not desk.told.outages:
            await asyncio.sleep(0.02)
    stop.set()
    async with asyncio.timeout(PATIENCE):
        await work
    assert [type(trouble) for trouble in desk.told.outages] == [Unavailable]


async def test_who_does_not_let_himself_be_stopped_holds_nobody_up_and_keeps_his_job(desk: JobDesk) -> None:
    release = asyncio.Event()

    async def stubborn() -> None:
        while not release.is_set():
            with suppress(asyncio.CancelledError):
                await release.wait()

    table = desk.table()
    worker = Worker({"a": stubborn})
    await table.put(job("a"))
    async with asyncio.timeout(PATIENCE):
        async with working(desk.on(table), worker):
            await worker.until(lambda: worker.begun == ["a"])
    left = await table.waiting()
    release.set()
    assert left == 1
    await worker.until(lambda: worker.ended == ["a"])
    async with asyncio.timeout(PATIENCE):
        while await table.waiting():
            await asyncio.sleep(0.02)
