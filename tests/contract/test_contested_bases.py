"""Two settings on one database, and models that come and go: no base is embedded in turns for ever."""

from collections.abc import Callable
from typing import Any

import pytest

from adapters.database.transactions import DatabaseTransactions
from adapters.database.vectors.vectors_embedded import EmbeddedVectorIndex
from adapters.scripted import ScriptedEmbedder, ScriptedEmbedders
from application.jobs.jobs_by_kind import DoJob
from application.knowledge.contested_models import FIRST_SECONDS, Contests
from application.knowledge.reindexing import Reindex
from application.knowledge.retrieval import RetrieveKnowledge
from application.ports.job_queue import JobKind
from domain.ids import KnowledgeId
from knowledge_desk import KnowledgeDesk, text_of
from stored import registered

ONE, OTHER = "scripted/words", "scripted/other"
Told = list[tuple[str, str, float]]


class Process:
    """Upkeep and worker with a model of their own, over a queue of their own."""

    def __init__(self, desk: KnowledgeDesk, name: str, told: Told, clock: Callable[[], float]) -> None:
        self.embedder = ScriptedEmbedder(name=name)
        self.desk = KnowledgeDesk(desk.transactions, clock=desk.clock, embedder=self.embedder, storage=desk.storage)

        def contest(*given: Any) -> None:
            told.append(given)

        reindex = Reindex(desk.transactions, self.desk.embedders, contests=Contests(contest, clock))
        self.do = DoJob({JobKind.INGEST: self.desk.ingest, JobKind.REINDEX: reindex, JobKind.PURGE: self.desk.purge})

    async def turn(self) -> None:
        await self.desk.keep.once()
        await self.desk.queue.run(self.do)


async def model_of(desk: KnowledgeDesk, knowledge_id: KnowledgeId) -> str | None:
    async with desk.transactions.autocommit() as tx:
        return await tx.knowledge.model(knowledge_id)


async def test_two_settings_embed_a_base_once_each_and_then_warn(transactions: DatabaseTransactions) -> None:
    desk, now, told = KnowledgeDesk(transactions), [0.0], Told()
    owner = await registered(transactions)
    base = await desk.base(owner)
    file = await desk.file(owner, base, text_of(5))
    await desk.run()
    processes = [Process(desk, name, told, lambda: now[0]) for name in (OTHER, ONE)]
    for _ in range(8):
        for one in processes:
            await one.turn()
        now[0] += 60
    count = (await desk.now(file)).chunks
    assert [len(one.embedder.texts) for one in processes] == [count, count]
    assert await model_of(desk, base.knowledge_id) == ONE
    assert told == [(OTHER, ONE, FIRST_SECONDS)]
    assert {row[6] for row in await desk.chunks(file)} == {ONE}
    # When the other settings are gone, the ones that are left have their way, after a while and for good.
    now[0] += FIRST_SECONDS
    for _ in range(3):
        await processes[0].turn()
    assert await model_of(desk, base.knowledge_id) == OTHER
    assert {row[6] for row in await desk.chunks(file)} == {OTHER}


async def test_in_four_hours_of_contest_a_base_is_embedded_a_few_times(transactions: DatabaseTransactions) -> None:
    desk, now, told = KnowledgeDesk(transactions), [0.0], Told()
    owner = await registered(transactions)
    file = await desk.file(owner, await desk.base(owner), text_of(3))
    await desk.run()
    processes = [Process(desk, name, told, lambda: now[0]) for name in (OTHER, ONE)]
    while now[0] < 4 * 3600:
        for one in processes:
            await one.turn()
        now[0] += 300
    count = (await desk.now(file)).chunks
    assert all(len(one.embedder.texts) <= 5 * count for one in processes)
    assert len(told) == len(set(told)) <= 2 * 4


async def test_a_change_back_by_a_new_start_is_done_at_once(transactions: DatabaseTransactions) -> None:
    desk, told = KnowledgeDesk(transactions), Told()
    owner = await registered(transactions)
    base = await desk.base(owner)
    await desk.file(owner, base, text_of(5))
    await desk.run()
    for name in (OTHER, ONE, OTHER):
        await Process(desk, name, told, lambda: 0.0).turn()
        assert await model_of(desk, base.knowledge_id) == name
    assert told == []


@pytest.mark.parametrize("meanwhile", ["nothing", "a file"])
async def test_a_model_that_is_unset_and_set_again_leaves_one_vector_for_each_chunk(
    transactions: DatabaseTransactions, database_url: str, meanwhile: str
) -> None:
    desk = KnowledgeDesk(transactions)
    owner = await registered(transactions)
    base = await desk.base(owner)
    files = [await desk.file(owner, base, text_of(5))]
    await desk.run()
    without: Any = desk.process(embedders=ScriptedEmbedders())
    if meanwhile == "a file":
        files.append(await without.file(owner, base, text_of(4, "late")))
    for process in (without, desk.process(), desk.process()):
        await process.keep.once()
        await process.run()
    assert await model_of(desk, base.knowledge_id) == ONE
    for file in files:
        rows = await desk.chunks(file)
        assert [row[0] for row in rows] == list(range((await desk.now(file)).chunks))
        assert {row[6] for row in rows} == {ONE}
        assert all(row[7] for row in rows)
    index, troubles = EmbeddedVectorIndex(database_url), list[Exception]()
    search = RetrieveKnowledge(transactions, desk.embedders, index, transactions.lexical(), None, troubles.append)
    found = await search(owner, "which mill is turned by the wind", [base.knowledge_id], top_k=3)
    await index.aclose()
    # Found by words and by vectors.
    assert (len(found.passages), found.lexical_only, troubles) == (3, None, [])
