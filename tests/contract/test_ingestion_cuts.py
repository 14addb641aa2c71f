"""Wherever the work on a file breaks off, it ends as if it had not; wherever something is removed, nothing is left."""

import asyncio
from collections.abc import Awaitable
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.database.transactions import DatabaseTransactions
from adapters.scripted import ScriptedEmbedder, ScriptedEmbedders
from application.knowledge import ingestion_steps, purging
from application.knowledge.ingestion_steps import Overtaken, emptied
from application.ports.persistence import Transactions
from domain.errors import ModelError
from domain.ids import UserId
from domain.knowledge.chunking import ChunkSize
from domain.knowledge.knowledge import MOST_SILENT, SILENT_COSTS, IngestionStatus, KnowledgeBase, KnowledgeFile
from ingestion_scene import ENDLESS, TEXT, Scene, never, points_of
from knowledge_desk import Killed, KnowledgeDesk, Mortal, Watched
from patience import PATIENCE
from stored import registered


@pytest.fixture
async def scene(transactions: DatabaseTransactions) -> Scene:
    return await Scene.made(transactions)


async def test_killed_at_any_point_it_ends_with_the_chunks_of_an_undisturbed_run(scene: Scene) -> None:
    await scene.file()
    points = await points_of(scene, lambda desk: desk.do(scene.desk.queue.take()), inside=True)
    for at in scene.points(points):
        file = await scene.file()
        job = scene.desk.queue.take()
        with pytest.raises(Killed):
            await scene.desk.process(database=Mortal(scene.desk.transactions, at)).do(job)
        await scene.desk.do(job)
        await scene.assert_as_undisturbed(file)


@settings(max_examples=6)
@given(deaths=st.lists(st.integers(1, 40), min_size=2, max_size=MOST_SILENT - 1))
async def test_killed_again_and_again_too(transactions: DatabaseTransactions, deaths: list[int]) -> None:
    scene = await Scene.made(transactions)
    file = await scene.file()
    job = scene.desk.queue.take()
    for at in deaths:
        mortal = scene.desk.process(database=Mortal(transactions, at))
        await _killed(mortal, job)
    await scene.desk.queue.put(job)
    await scene.desk.run()
    await scene.assert_as_undisturbed(file)


async def _killed(desk: KnowledgeDesk, job: Any) -> None:
    try:
        await desk.do(job)
    except Killed:
        return


async def test_called_off_at_any_point_it_goes_on_as_if_it_had_not_been_tried(scene: Scene) -> None:
    await scene.file()
    points = await points_of(scene, lambda desk: desk.do(scene.desk.queue.take()), inside=True)
    for at in scene.points(points):
        file = await scene.file()
        job = scene.desk.queue.take()
        watched = Watched(scene.desk.transactions, at, call_off, inside=True)
        with pytest.raises(asyncio.CancelledError):
            await asyncio.create_task(one_more(scene.desk.process(database=watched).do(job)))
        left = await scene.desk.now(file)
        assert left.attempts <= SILENT_COSTS
        await scene.desk.do(job)
        await scene.assert_as_undisturbed(file)


async def call_off() -> None:
    current = asyncio.current_task()
    assert current is not None
    current.cancel()


async def one_more(work: Awaitable[object]) -> None:
    """Where the last point is that of the end, the work itself hears nothing of it any more."""
    await work
    await asyncio.sleep(0)


async def test_a_worker_that_ends_is_no_failure_of_the_file(scene: Scene) -> None:
    file = await scene.file()
    job = scene.desk.queue.take()
    embedder = ScriptedEmbedder(gate=asyncio.Event())
    desk = scene.desk.process(embedder=embedder)
    for _ in range(20):
        task = asyncio.create_task(desk.do(job))
        embedder.reached.clear()
        async with asyncio.timeout(PATIENCE):
            await embedder.reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert embedder.cancelled == 20
    await scene.desk.do(job)
    await scene.assert_as_undisturbed(file)


@pytest.mark.parametrize("batches", [(4, 4), (4, 3), (1, 5)])
async def test_two_workers_at_once_store_each_chunk_once(scene: Scene, batches: tuple[int, int]) -> None:
    for _ in range(3):
        file = await scene.file()
        job = scene.desk.queue.take()
        workers = [scene.desk.process(embedder=ScriptedEmbedder(batch=batch)) for batch in batches]
        await asyncio.gather(*(worker.do(job) for worker in workers))
        await scene.desk.queue.put(job)
        await scene.desk.run()
        await scene.assert_as_undisturbed(file)


async def test_two_workers_of_which_one_cuts_otherwise_end_with_one_of_both(scene: Scene) -> None:
    for at in range(1, 40, 6):
        file = await scene.file()
        job = scene.desk.queue.take()
        other = scene.desk.process(size=ChunkSize(30, 4))

        async def meanwhile(other: KnowledgeDesk = other, job: Any = job) -> None:
            await other.do(job)

        await scene.desk.process(database=Watched(scene.desk.transactions, at, meanwhile)).do(job)
        await scene.desk.queue.put(job)
        await scene.desk.run()
        done = await scene.desk.now(file)
        rows = await scene.desk.chunks(file)
        assert done.status is IngestionStatus.SUCCESS
        assert [row[0] for row in rows] == list(range(done.total or 0))
        assert "".join(row[1] for row in rows).count("paragraph4 ") in (1, 2)


async def test_two_workers_that_begin_anew_at_once_lose_nothing(scene: Scene) -> None:
    """One takes away what an older plan left while the other one stores already."""
    for at in range(1, 40, 6):
        file = await scene.file()
        job = scene.desk.queue.take()
        await _killed(scene.desk.process(database=Mortal(scene.desk.transactions, 20), size=ChunkSize(30, 4)), job)

        async def meanwhile(job: Any = job) -> None:
            await scene.desk.do(job)

        await _killed(scene.desk.process(database=Watched(scene.desk.transactions, at, meanwhile)), job)
        await scene.desk.queue.put(job)
        await scene.desk.run()
        await scene.assert_as_undisturbed(file)


async def test_chunks_that_somebody_takes_away_meanwhile_are_made_again(scene: Scene) -> None:
    """As a worker does that slept since it read the row, and begins anew what another one has begun anew already."""
    desk = scene.desk
    for at in range(8, 30, 2):
        file = await scene.file()
        job = desk.queue.take()

        async def take_away(file: KnowledgeFile = file) -> None:
            async with desk.transactions.autocommit() as tx:
                now = await tx.knowledge_files.at_work(file.knowledge_file_id)
            if now and now.plan and now.total:
                await emptied(desk.transactions, now, now.planned(now.plan, now.total, desk.clock.now()))

        again = await desk.process(database=Watched(desk.transactions, at, take_away)).do(job)
        if again is not None:
            await desk.queue.put_again(job, again)
        await desk.run()
        await scene.assert_as_undisturbed(file)


async def test_who_begins_anew_too_late_takes_nothing_away(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingestion_steps, "REMOVED_AT_ONCE", 1)
    desk = scene.desk
    file = await scene.file()
    job = desk.queue.take()
    await desk.process(size=ChunkSize(30, 4), embedder=ScriptedEmbedder(batch=2), slice_seconds=0.0).do(job)
    late = await desk.now(file)
    assert late.chunks == 2

    async def meanwhile() -> None:
        await desk.process(slice_seconds=0.0).do(job)

    after_one_portion = Watched(desk.transactions, 4, meanwhile)
    with pytest.raises(Overtaken):
        await emptied(cast(Transactions, after_one_portion), late, late.planned("p", 9, desk.clock.now()))
    assert await desk.chunks(file) == scene.undisturbed[:4]


@pytest.mark.parametrize("what", ["file", "base", "account"])
async def test_removed_at_any_point_nothing_is_left(scene: Scene, what: str) -> None:
    desk, transactions = scene.desk, scene.desk.transactions
    await scene.file()
    points = await points_of(scene, lambda one: one.do(desk.queue.take()), inside=False)
    clean = await KnowledgeDesk(transactions).counts()
    for at in scene.points(points):
        owner = await registered(transactions)
        base = await desk.base(owner)
        file = await desk.file(owner, base, TEXT)

        async def remove(owner: UserId = owner, base: KnowledgeBase = base, file: KnowledgeFile = file) -> None:
            if what == "file":
                await desk.delete_file(owner, file.knowledge_file_id)
            elif what == "base":
                await desk.delete(owner, base.knowledge_id)
            else:
                async with transactions.begin() as tx:
                    await tx.users.remove(owner)

        await desk.process(database=Watched(transactions, at, remove)).do(desk.queue.take())
        await desk.keep.once()
        await desk.run()
        await desk.keep.once()
        await desk.run()
        assert await left_of(desk, owner, base, what) == without_traces(clean)


async def left_of(desk: KnowledgeDesk, owner: UserId, base: KnowledgeBase, what: str) -> dict[str, int]:
    if what == "file":
        await desk.delete(owner, base.knowledge_id)
        await desk.run()
    return without_traces(await desk.counts())


def without_traces(counts: dict[str, int]) -> dict[str, int]:
    """What is about bases: accounts and uploads have an upkeep of their own."""
    return {table: count for table, count in counts.items() if table.startswith(("knowledge", "chunk"))}


@pytest.mark.parametrize("killed", [False, True])
async def test_the_removal_itself_may_break_off_anywhere(
    scene: Scene, killed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purging, "REMOVED_AT_ONCE", 2)
    desk, transactions = scene.desk, scene.desk.transactions
    clean = without_traces(await desk.counts())
    for at in range(1, 14, 2):
        base = await desk.base(scene.owner, f"base {at}")
        await desk.file(scene.owner, base, TEXT)
        await desk.run()
        assert without_traces(await desk.counts()) != clean
        await desk.delete(scene.owner, base.knowledge_id)
        job = desk.queue.take()
        if killed:
            await _killed(desk.process(database=Mortal(transactions, at)), job)
            # The job is lost, too: the rows alone say what is to be done.
            await desk.keep.once()
        else:
            await desk.queue.put(job)
        await desk.run()
        assert without_traces(await desk.counts()) == clean


async def test_a_file_that_fails_loses_its_chunks_wherever_that_breaks_off(scene: Scene) -> None:
    def hopeless(embedder: ScriptedEmbedder) -> ScriptedEmbedder:
        embedder.refuse = lambda _: ModelError("model_auth_failed", "No.") if len(embedder.calls) > 1 else None
        return embedder

    def doomed(database: Any) -> KnowledgeDesk:
        return scene.desk.process(database=database, embedder=hopeless(ScriptedEmbedder()))

    await scene.file()
    counting = Watched(scene.desk.transactions, ENDLESS, never, inside=True)
    await doomed(counting).do(scene.desk.queue.take())
    for at in scene.points(counting.points):
        file = await scene.file()
        job = scene.desk.queue.take()
        await _killed(doomed(Mortal(scene.desk.transactions, at)), job)
        await scene.desk.process(embedders=ScriptedEmbedders([hopeless(ScriptedEmbedder())])).do(job)
        ended = await scene.desk.now(file)
        rows = await scene.desk.chunks(file)
        if ended.status is IngestionStatus.FAIL:
            assert (ended.chunks, rows) == (0, [])
        else:
            assert (ended.status, rows) == (IngestionStatus.SUCCESS, scene.undisturbed)
