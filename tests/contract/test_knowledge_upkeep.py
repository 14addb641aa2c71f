"""The queue is only a messenger: what the rows demand is asked for again; and everybody gets a turn."""

from datetime import timedelta

import pytest

from adapters.database.transactions import DatabaseTransactions
from adapters.scripted import ScriptedEmbedder, ScriptedEmbedders
from application.knowledge import knowledge_upkeep
from application.knowledge.knowledge_upkeep import UNTOUCHED
from application.ports.job_queue import JobKind
from domain.errors import Unavailable
from domain.knowledge.knowledge import IngestionStatus
from knowledge_desk import KnowledgeDesk, text_of, turns
from meddled import Meddled
from stored import registered

TEXT = text_of(3)


@pytest.fixture
def desk(transactions: DatabaseTransactions) -> KnowledgeDesk:
    return KnowledgeDesk(transactions)


async def test_a_queue_that_is_away_keeps_nobody_from_adding_and_removing(desk: KnowledgeDesk) -> None:
    owner = await registered(desk.transactions)
    base, other = await desk.base(owner), await desk.base(owner, "other")
    desk.queue.down = True
    file = await desk.file(owner, base, TEXT)
    gone = await desk.file(owner, base, TEXT)
    await desk.delete_file(owner, gone.knowledge_file_id)
    await desk.delete(owner, other.knowledge_id)
    assert len(desk.troubles) == 4
    with pytest.raises(Unavailable):
        await desk.keep.once()
    desk.queue.down = False
    await desk.keep.once()
    assert {job.subject for _, job in desk.queue.waiting_jobs} == {gone.knowledge_file_id, other.knowledge_id}
    desk.clock.moment += UNTOUCHED + timedelta(seconds=1)
    await desk.keep.once()
    await desk.run()
    assert (await desk.now(file)).status is IngestionStatus.SUCCESS
    counts = await desk.counts()
    assert (counts["knowledge_bases"], counts["knowledge_files"]) == (1, 1)


async def test_only_files_that_nobody_touched_for_a_while_are_asked_for(desk: KnowledgeDesk) -> None:
    owner = await registered(desk.transactions)
    base = await desk.base(owner)
    done = await desk.file(owner, base, TEXT)
    await desk.run()
    old = await desk.file(owner, base, TEXT)
    desk.clock.moment += UNTOUCHED
    await desk.file(owner, base, TEXT)
    desk.queue.waiting_jobs.clear()
    desk.clock.moment += timedelta(seconds=1)
    await desk.keep.once()
    assert [job.subject for _, job in desk.queue.waiting_jobs] == [old.knowledge_file_id]
    assert done.knowledge_file_id not in desk.queue.done[1:]
    desk.queue.waiting_jobs.clear()
    await desk.keep.once()
    assert desk.queue.waiting_jobs == []


async def test_many_lost_jobs_come_back_in_fair_order(desk: KnowledgeDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(knowledge_upkeep, "AT_ONCE", 4)
    owners = [await registered(desk.transactions) for _ in range(3)]
    bases = [await desk.base(owner) for owner in owners]
    files = [
        await desk.file(owner, base, TEXT)
        for owner, base, count in zip(owners, bases, (7, 2, 1), strict=True)
        for _ in range(count)
    ]
    desk.queue.waiting_jobs.clear()
    desk.clock.moment += UNTOUCHED + timedelta(seconds=1)
    await desk.keep.once()
    assert {job.subject for _, job in desk.queue.waiting_jobs} == {file.knowledge_file_id for file in files}
    await desk.run()
    firsts = {desk.queue.done.index(files[at].knowledge_file_id) for at in (0, 7, 9)}
    assert firsts == {0, 1, 2}


async def test_fifty_files_of_one_user_do_not_delay_another_user_s_one(desk: KnowledgeDesk) -> None:
    ann, bob = await registered(desk.transactions), await registered(desk.transactions)
    base, other = await desk.base(ann), await desk.base(bob)
    anns = [await desk.file(ann, base, "Few words.") for _ in range(50)]
    bobs = await desk.file(bob, other, TEXT)
    await desk.run()
    assert desk.queue.done.index(bobs.knowledge_file_id) == 1
    assert desk.queue.done == [
        anns[0].knowledge_file_id,
        bobs.knowledge_file_id,
        *(f.knowledge_file_id for f in anns[1:]),
    ]


async def test_one_step_that_fails_keeps_no_other_from_being_done(transactions: DatabaseTransactions) -> None:
    meddled = Meddled(transactions)
    desk = KnowledgeDesk(transactions, database=meddled)
    owner = await registered(transactions)
    file = await desk.file(owner, await desk.base(owner), TEXT)
    desk.queue.waiting_jobs.clear()
    desk.clock.moment += UNTOUCHED + timedelta(seconds=1)

    async def broken(*_given: object) -> object:
        raise Unavailable("database_unavailable", "Away, as wanted.")

    meddled.instead = {"knowledge.removed": broken, "knowledge.of_other_models": broken}
    with pytest.raises(Unavailable):
        await desk.keep.once()
    assert [job.subject for _, job in desk.queue.waiting_jobs] == [file.knowledge_file_id]


async def test_bases_of_another_model_are_asked_for_and_those_of_this_one_not(
    desk: KnowledgeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(knowledge_upkeep, "AT_ONCE", 2)
    owner = await registered(desk.transactions)
    old = [await desk.base(owner, f"old {n}") for n in range(5)]
    newer = desk.process(embedder=ScriptedEmbedder(name="scripted/newer"))
    await newer.base(owner, "new")
    await newer.keep.once()
    asked = {(job.kind, job.subject) for _, job in desk.queue.waiting_jobs}
    assert asked == {(JobKind.REINDEX, base.knowledge_id) for base in old}
    await newer.run()
    await newer.keep.once()
    assert desk.queue.waiting_jobs == []


async def test_others_go_on_while_many_jobs_are_put(desk: KnowledgeDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(knowledge_upkeep, "PUT_AT_ONCE", 3)
    owner = await registered(desk.transactions)
    base = await desk.base(owner)
    for _ in range(12):
        await desk.file(owner, base, TEXT)
    desk.queue.waiting_jobs.clear()
    desk.clock.moment += UNTOUCHED + timedelta(seconds=1)
    async with turns(lambda: len(desk.queue.waiting_jobs)) as seen:
        await desk.keep.once()
    assert len(desk.queue.waiting_jobs) == 12
    assert {3, 6, 9, 12} <= set(seen)


async def test_without_a_model_no_base_is_asked_for(desk: KnowledgeDesk) -> None:
    owner = await registered(desk.transactions)
    await desk.base(owner)
    await desk.process(embedders=ScriptedEmbedders()).keep.once()
    assert desk.queue.waiting_jobs == []
