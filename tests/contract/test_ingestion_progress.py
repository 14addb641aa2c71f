"""What people see of a file's progress never goes back, whatever happens to those who work on it."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.database.transactions import DatabaseTransactions
from adapters.scripted import ScriptedEmbedder, embedding_failure
from domain.errors import ModelError
from domain.knowledge.chunking import ChunkSize
from domain.knowledge.knowledge import CONTEST_PATIENCE, IngestionStatus, KnowledgeFile
from ingestion_scene import TEXT
from knowledge_desk import SMALL, Killed, KnowledgeDesk, Mortal
from stored import registered


class Onlooker(Mortal):
    """Looks at the file before and after whatever its process does."""

    def __init__(self, real: DatabaseTransactions, at: int, desk: KnowledgeDesk, file: KnowledgeFile) -> None:
        super().__init__(real, at)
        self._desk, self._file = desk, file
        self.seen: list[KnowledgeFile] = []

    async def point(self) -> None:
        self.seen.append(await self._desk.now(self._file))
        await super().point()


@settings(max_examples=6)
@given(
    deaths=st.lists(st.tuples(st.integers(1, 60), st.sampled_from([SMALL, ChunkSize(30, 4)])), min_size=1, max_size=4),
    end=st.sampled_from(["success", "fail"]),
)
async def test_progress_never_goes_back_within_one_beginning(
    transactions: DatabaseTransactions, deaths: list[tuple[int, ChunkSize]], end: str
) -> None:
    desk = KnowledgeDesk(transactions)
    owner = await registered(transactions)
    file = await desk.file(owner, await desk.base(owner), TEXT)
    job, seen = desk.queue.take(), list[KnowledgeFile]()
    if end == "fail":
        desk.embedder.refuse = lambda _: ModelError("model_auth_failed", "No.")
    for at, size in [*deaths, (10_000, SMALL)]:
        desk.clock.moment += CONTEST_PATIENCE
        failing = ScriptedEmbedder(failures=[embedding_failure()]) if at % 2 else ScriptedEmbedder()
        onlooker = Onlooker(transactions, at, desk, file)
        last = {"embedder": desk.embedder} if at == 10_000 else {"embedder": failing}
        await killed(desk.process(database=onlooker, size=size, **last), job)
        seen += [*onlooker.seen, await desk.now(file)]
    shown = [one.progress for one in seen]
    assert shown == sorted(shown)
    assert seen[-1].status is not IngestionStatus.PROCESS
    anew = await desk.retry(owner, file.knowledge_file_id)
    assert anew.progress == 0.0


async def killed(desk: KnowledgeDesk, job: Any) -> None:
    try:
        await desk.do(job)
    except Killed:
        return


@pytest.mark.parametrize("late", [1, 5])
async def test_a_worker_that_knows_less_does_not_take_progress_back(
    transactions: DatabaseTransactions, late: int
) -> None:
    desk = KnowledgeDesk(transactions, slice_seconds=0.0)
    owner = await registered(transactions)
    file = await desk.file(owner, await desk.base(owner), TEXT)
    job = desk.queue.take()
    await desk.do(job)
    stale = await desk.now(file)
    for _ in range(late):
        await desk.do(job)
    before = await desk.now(file)
    async with transactions.autocommit() as tx:
        await tx.knowledge_files.record(stale.without_plan(desk.clock.now()))
    assert (await desk.now(file)).progress >= before.progress >= stale.progress
