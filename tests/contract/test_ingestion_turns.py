"""Who comes when: a batch takes a few seconds, a slice little longer than it should, and small files do not wait."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from adapters.database.transactions import DatabaseTransactions
from adapters.scripted import ScriptedEmbedder
from domain.knowledge.batch_pace import SECONDS
from domain.knowledge.embeddings import Vector
from domain.knowledge.knowledge import IngestionStatus, Stage
from knowledge_desk import KnowledgeDesk, text_of
from stored import NOW, registered, seconds
from stored_knowledge import with_base, with_file

SLICE = 20.0


class SlowEmbedder(ScriptedEmbedder):
    """Each text takes two seconds of a clock that is set."""

    passed = 0.0

    async def passages(self, texts: Sequence[str]) -> Sequence[Vector]:
        self.passed += 2.0 * len(texts)
        return await super().passages(texts)


async def test_a_slow_model_gets_small_batches_so_that_slices_end_in_time(
    transactions: DatabaseTransactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, embedder = asyncio.get_running_loop(), SlowEmbedder(batch=16)
    desk = KnowledgeDesk(transactions, embedder=embedder, slice_seconds=SLICE)
    owner = await registered(transactions)
    file = await desk.file(owner, await desk.base(owner), text_of(40))
    real = loop.time
    monkeypatch.setattr(loop, "time", lambda: real() + embedder.passed)
    slices = []
    while desk.queue.waiting_jobs:
        before = embedder.passed
        job = desk.queue.take()
        if (again := await desk.do(job)) is not None:
            await desk.queue.put_again(job, again)
        slices.append(embedder.passed - before)
    monkeypatch.undo()
    assert (await desk.now(file)).status is IngestionStatus.SUCCESS
    assert len(slices) >= 3
    assert max(slices) <= SLICE + SECONDS
    assert {len(call) for call in embedder.calls[1:]} <= {1, 2}


async def test_a_quick_model_gets_as_many_at_once_as_are_worth_one_call(transactions: DatabaseTransactions) -> None:
    desk = KnowledgeDesk(transactions, embedder=ScriptedEmbedder(batch=16))
    owner = await registered(transactions)
    await desk.file(owner, await desk.base(owner), text_of(60))
    await desk.run()
    assert [len(call) for call in desk.embedder.calls][:4] == [4, 8, 16, 16]


@pytest.mark.parametrize("large", [1, 2])
async def test_one_s_own_small_files_do_not_wait_for_large_ones(transactions: DatabaseTransactions, large: int) -> None:
    desk = KnowledgeDesk(transactions, slice_seconds=0.0)
    owner = await registered(transactions)
    base = await desk.base(owner)
    long = [await desk.file(owner, base, text_of(20)) for _ in range(large)]
    short = [await desk.file(owner, base, text_of(2)) for _ in range(5)]
    await desk.run()
    begun = [*long, *short]
    assert desk.queue.done[: len(begun)] == [file.knowledge_file_id for file in begun]
    assert len(desk.queue.done) > len(begun) + 2 * large
    assert {(await desk.now(file)).status for file in begun} == {IngestionStatus.SUCCESS}


async def test_what_came_while_a_large_file_was_at_work_goes_before_its_next_slice(
    transactions: DatabaseTransactions,
) -> None:
    desk = KnowledgeDesk(transactions, slice_seconds=0.0)
    owner = await registered(transactions)
    base = await desk.base(owner)
    long = await desk.file(owner, base, text_of(20))
    job = desk.queue.take()
    short = [await desk.file(owner, base, text_of(2)) for _ in range(3)]
    again = await desk.do(job)
    assert again is not None
    await desk.queue.put_again(job, again)
    await desk.run()
    assert desk.queue.done[:4] == [*(file.knowledge_file_id for file in short), long.knowledge_file_id]


async def test_large_files_of_one_owner_are_first_second_and_third_again_when_nothing_small_waits(
    transactions: DatabaseTransactions,
) -> None:
    desk = KnowledgeDesk(transactions, slice_seconds=0.0)
    ann, bob = await registered(transactions), await registered(transactions)
    base, other = await desk.base(ann), await desk.base(bob)
    for _ in range(3):
        await desk.file(ann, base, text_of(20))
    for _ in range(3):
        job = desk.queue.take()
        again = await desk.do(job)
        assert again is not None
        await desk.queue.put_again(job, again)
    theirs = await desk.file(bob, other, text_of(20))
    for _ in range(8):
        job = desk.queue.take()
        if (again := await desk.do(job)) is not None:
            await desk.queue.put_again(job, again)
    rows = {job.subject: job.rank for _, job in desk.queue.waiting_jobs}
    assert rows.get(theirs.knowledge_file_id, 0) == 0
    assert sorted(rank for subject, rank in rows.items() if subject != theirs.knowledge_file_id)[-1] <= 2


async def test_of_files_put_in_or_begun_anew_at_once_one_is_first_one_second_and_so_on(
    transactions: DatabaseTransactions,
) -> None:
    desk = KnowledgeDesk(transactions)
    owner = await registered(transactions)
    bases = [await desk.base(owner, name) for name in ("one", "two")]
    urls = [await desk.upload(owner, f"text {n}") for n in range(16)]
    added = await asyncio.gather(*(desk.add(owner, bases[n % 2].knowledge_id, url) for n, url in enumerate(urls)))
    ranks = list(range(len(urls)))
    assert sorted(job.rank for _, job in desk.queue.waiting_jobs) == ranks
    await desk.run()
    await asyncio.gather(*(desk.retry(owner, file.knowledge_file_id) for file in added))
    assert sorted(job.rank for _, job in desk.queue.waiting_jobs) == ranks


async def test_beside_a_file_stand_its_owner_s_others_that_are_not_done(transactions: DatabaseTransactions) -> None:
    owner, other = await registered(transactions), await registered(transactions)
    base, theirs = await with_base(transactions, owner), await with_base(transactions, other)
    older, this, later, gone, done = [
        await with_file(transactions, base, stage=stage, created_at=seconds(at), updated_at=seconds(at))
        for at, stage in enumerate([Stage.EMBED, Stage.QUEUED, Stage.QUEUED, Stage.QUEUED, Stage.QUEUED])
    ]
    await with_file(transactions, theirs, stage=Stage.QUEUED)
    async with transactions.autocommit() as tx:
        await tx.knowledge_files.remove(gone.knowledge_file_id, NOW, owner=owner)
        await tx.knowledge_files.record(replace(done, status=IngestionStatus.SUCCESS))
        assert await tx.knowledge_files.beside(older) == (2, 0)
        assert await tx.knowledge_files.beside(this) == (1, 1)
        assert await tx.knowledge_files.beside(later) == (1, 2)
        await tx.users.remove(owner)
        assert await tx.knowledge_files.beside(this) == (0, 0)
