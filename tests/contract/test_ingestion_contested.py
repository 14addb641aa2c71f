"""Several workers at one file that should not be: those that were cut off, and those that read and cut differently."""

import asyncio
from typing import Any

import pytest

from adapters.database.transactions import DatabaseTransactions
from application.knowledge.ingestion import CONTEST_PAUSE
from application.ports.job_queue import Again, Job
from domain.knowledge.chunking import ChunkSize
from domain.knowledge.knowledge import CONTEST_PATIENCE, MOST_REPLANNED, SILENT_COSTS, IngestionStatus, KnowledgeFile
from knowledge_desk import KnowledgeDesk, text_of
from patience import PATIENCE
from stored import registered

OTHER = ChunkSize(14, 2)


@pytest.fixture
def desk(transactions: DatabaseTransactions) -> KnowledgeDesk:
    return KnowledgeDesk(transactions, slice_seconds=0.0)


async def in_work(desk: KnowledgeDesk, paragraphs: int = 20) -> KnowledgeFile:
    owner = await registered(desk.transactions)
    return await desk.file(owner, await desk.base(owner), text_of(paragraphs))


def unlike(desk: KnowledgeDesk) -> KnowledgeDesk:
    """A process that cuts otherwise, whose texts are counted with those of the first."""
    return desk.process(size=OTHER, slice_seconds=0.0, embedder=desk.embedder, embedders=desk.embedders)


async def turn(desk: KnowledgeDesk) -> Again | None:
    job = desk.queue.take()
    again = await desk.do(job)
    if again is not None:
        await desk.queue.put_again(job, again)
    return again


async def test_workers_that_cut_differently_embed_a_file_once_and_tell_once(desk: KnowledgeDesk) -> None:
    file, other, told = await in_work(desk), unlike(desk), list[Any]()
    object.__setattr__(other.ingest, "on_contest", lambda *given: told.append(given))
    turns = 0
    while desk.queue.waiting_jobs:
        again = await turn(other if turns % 2 else desk)
        assert again == Again(CONTEST_PAUSE) or not turns % 2
        turns += 1
    done = await desk.now(file)
    assert (done.status, done.error) == (IngestionStatus.SUCCESS, None)
    assert len(desk.embedder.texts) == done.chunks
    assert [(one.knowledge_file_id, one.plan, ours) for one, ours in told] == [
        (file.knowledge_file_id, desk.steps.plan, other.steps.plan)
    ]


async def test_whoever_finds_a_file_left_alone_cuts_it_anew(desk: KnowledgeDesk) -> None:
    file, other = await in_work(desk), unlike(desk)
    await turn(desk)
    stored = await desk.now(file)
    begun = desk.clock.now()
    while await turn(other) == Again(CONTEST_PAUSE):
        assert await desk.now(file) == stored
    assert CONTEST_PATIENCE <= desk.clock.now() - begun <= CONTEST_PATIENCE + CONTEST_PAUSE
    await other.run()
    done = await desk.now(file)
    assert (done.status, done.error) == (IngestionStatus.SUCCESS, None)
    assert [row[0] for row in await desk.chunks(file)] == list(range(done.total or 0))
    assert len(desk.embedder.texts) == stored.chunks + done.chunks


async def test_workers_that_take_a_file_from_each_other_again_and_again_come_to_an_end(desk: KnowledgeDesk) -> None:
    """Each finds it left alone, because so much waits before it."""
    file, other = await in_work(desk), unlike(desk)
    for at in range(40):
        if not desk.queue.waiting_jobs:
            break
        desk.clock.moment += CONTEST_PATIENCE
        await turn(other if at % 2 else desk)
    failed = await desk.now(file)
    assert failed.error is not None
    assert (failed.status, failed.error.code) == (IngestionStatus.FAIL, "plan_contested")
    assert await desk.chunks(file) == []
    assert len(desk.embedder.texts) <= 4 * (MOST_REPLANNED + 1)
    await desk.retry(file.user_id, file.knowledge_file_id)
    await desk.run()
    assert (await desk.now(file)).status is IngestionStatus.SUCCESS


class Held:
    """Reading that takes as long as a test wants."""

    def __init__(self, desk: KnowledgeDesk) -> None:
        self.parser, self._read = desk.read.parser, desk.read
        self.reached, self.go = asyncio.Event(), asyncio.Event()
        object.__setattr__(desk.steps, "read", self)

    async def __call__(self, file: Any) -> Any:
        self.reached.set()
        await self.go.wait()
        return await self._read(file)


async def cut_off(desk: KnowledgeDesk, job: Job) -> tuple["asyncio.Task[Again | None]", Held]:
    """A worker that reads, and has lost its job to somebody else meanwhile."""
    held = Held(desk)
    task = asyncio.create_task(desk.ingest(job))
    async with asyncio.timeout(PATIENCE):
        await held.reached.wait()
    return task, held


@pytest.mark.parametrize("ends", ["cancelled", "awake", "failing"])
async def test_a_worker_that_was_cut_off_undoes_nothing_of_its_successor(desk: KnowledgeDesk, ends: str) -> None:
    file = await in_work(desk)
    job = desk.queue.take()
    late = desk.process(size=OTHER if ends == "awake" else desk.size)
    task, held = await cut_off(late, job)
    assert await desk.ingest(job) is not None
    stored = await desk.now(file)
    assert stored.chunks == 4
    if ends == "failing":
        late.storage.down = True
    if ends == "cancelled":
        task.cancel()
    held.go.set()
    outcomes = await asyncio.gather(task, return_exceptions=True)
    assert isinstance(outcomes[0], asyncio.CancelledError if ends == "cancelled" else Again | None)
    late.storage.down = False
    assert await desk.now(file) == stored
    await desk.queue.put(job)
    await desk.run()
    done = await desk.now(file)
    assert (done.status, len(desk.embedder.texts)) == (IngestionStatus.SUCCESS, done.chunks)
    assert late.embedder.texts == []


async def test_a_worker_that_ends_gives_back_the_try_and_nothing_else(desk: KnowledgeDesk) -> None:
    file = await in_work(desk)
    job = desk.queue.take()
    await desk.ingest(job)
    before = await desk.now(file)
    task, _ = await cut_off(desk.process(), job)
    assert (await desk.now(file)).attempts == before.attempts + SILENT_COSTS
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    after = await desk.now(file)
    assert (after.attempts, after.plan, after.total, after.chunks) == (0, before.plan, before.total, before.chunks)
