"""A worker that can't embed, beside others that can: it leaves them what it can't do, and says so."""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

from adapters.database.transactions import DatabaseTransactions
from adapters.scripted import ScriptedEmbedder, ScriptedEmbedders
from application.knowledge.contested_models import Contests
from application.knowledge.ingestion import LEFT_COUNTS
from application.knowledge.purging import Purge
from application.knowledge.reindexing import LEFT_TO_OTHERS, Reindex
from application.ports.job_queue import Job, JobKind
from domain.errors import Unavailable
from domain.ids import UserId
from domain.knowledge.knowledge import MOST_ATTEMPTS, IngestionStatus, KnowledgeBase, KnowledgeFile
from knowledge_desk import KnowledgeDesk, text_of
from stored import registered

LACKING = "The embedding model is not installed here, as scripted."


async def filled(desk: KnowledgeDesk) -> tuple[UserId, KnowledgeBase, KnowledgeFile]:
    owner = await registered(desk.transactions)
    base = await desk.base(owner)
    file = await desk.file(owner, base, text_of(4))
    await desk.run()
    return owner, base, file


def reindex(desk: KnowledgeDesk, told: list[Unavailable], **given: object) -> Reindex:
    return Reindex(desk.transactions, ScriptedEmbedders(**given), contests=Contests(), on_left=told.append)  # type: ignore[arg-type]


async def test_a_job_to_embed_anew_waits_for_another_worker_and_is_then_done(
    transactions: DatabaseTransactions,
) -> None:
    desk = KnowledgeDesk(transactions)
    _, _, file = await filled(desk)
    newer = desk.process(embedder=ScriptedEmbedder(name="scripted/newer"))
    await newer.keep.once()
    told: list[Unavailable] = []
    [(_, job)] = newer.queue.waiting_jobs
    lacking = reindex(desk, told, missing=LACKING)
    for _ in range(3):
        again = await lacking(newer.queue.take())
        assert again == LEFT_TO_OTHERS
        await newer.queue.put_again(job, again)
    assert {one.code for one in told} == {"embedding_lacking"}
    assert LACKING in told[0].message
    await newer.run()
    assert {row[6] for row in await desk.chunks(file)} == {"scripted/newer"}


async def test_where_embedding_is_switched_off_the_job_is_over_and_nothing_is_told(
    transactions: DatabaseTransactions,
) -> None:
    desk = KnowledgeDesk(transactions)
    _, base, _ = await filled(desk)
    told: list[Unavailable] = []
    assert await reindex(desk, told)(Job(JobKind.REINDEX, base.knowledge_id)) is None
    assert told == []


async def test_the_job_of_a_base_that_is_gone_is_over_also_where_nothing_can_embed(
    transactions: DatabaseTransactions,
) -> None:
    desk = KnowledgeDesk(transactions)
    owner, base, _ = await filled(desk)
    await desk.delete(owner, base.knowledge_id)
    told: list[Unavailable] = []
    assert await reindex(desk, told, missing=LACKING)(Job(JobKind.REINDEX, base.knowledge_id)) is None
    await Purge(transactions)(Job(JobKind.PURGE, base.knowledge_id))
    assert await reindex(desk, told, missing=LACKING)(Job(JobKind.REINDEX, base.knowledge_id)) is None


async def test_a_file_of_a_base_with_vectors_waits_for_a_worker_that_can_embed(
    transactions: DatabaseTransactions,
) -> None:
    desk = KnowledgeDesk(transactions)
    owner = await registered(transactions)
    file = await desk.file(owner, await desk.base(owner), text_of(4))
    lacking = desk.process(embedders=ScriptedEmbedders(missing=LACKING))
    again = await lacking.do(job := desk.queue.take())
    assert again is not None
    waiting = await desk.now(file)
    assert waiting.status is IngestionStatus.PROCESS
    assert waiting.error is not None
    assert waiting.error.code == "embedding_lacking"
    assert await desk.chunks(file) == []
    await desk.queue.put_again(job, again)
    await desk.run()
    assert {row[6] for row in await desk.chunks(file)} == {"scripted/words"}


async def looks(desk: KnowledgeDesk, chances: Iterator[float], most: int) -> int:
    """How often a worker that can't embed takes a file, a minute later each time, until it fails."""
    lacking = desk.process(embedders=ScriptedEmbedders(missing=LACKING))
    ingest = replace(lacking.ingest, chance=lambda: next(chances))
    for look in range(most):
        again = await ingest(job := desk.queue.take())
        if again is None:
            return look + 1
        assert again == LEFT_TO_OTHERS
        await desk.queue.put_again(job, again)
    return most


async def test_workers_that_can_not_embed_do_not_use_up_the_tries_of_a_file(transactions: DatabaseTransactions) -> None:
    desk = KnowledgeDesk(transactions)
    owner = await registered(transactions)
    file = await desk.file(owner, await desk.base(owner), text_of(4))
    assert await looks(desk, itertools.repeat(0.5), 30) == 30
    waiting = await desk.now(file)
    assert (waiting.status, waiting.attempts) == (IngestionStatus.PROCESS, 0)
    assert waiting.error is not None
    assert waiting.error.code == "embedding_lacking"
    await desk.run()
    assert (await desk.now(file)).status is IngestionStatus.SUCCESS


async def test_where_nobody_can_embed_a_file_fails_after_half_a_day_and_says_why(
    transactions: DatabaseTransactions,
) -> None:
    desk = KnowledgeDesk(transactions)
    owner = await registered(transactions)
    file = await desk.file(owner, await desk.base(owner), text_of(4))
    # One of three minutes counts here, and of sixty elsewhere.
    assert await looks(desk, itertools.cycle([LEFT_COUNTS, 0.999, 0.0]), 100) == 3 * MOST_ATTEMPTS
    assert LEFT_TO_OTHERS.delay * MOST_ATTEMPTS / LEFT_COUNTS == timedelta(hours=12)
    failed = await desk.now(file)
    assert failed.error is not None
    assert (failed.status, failed.error.code) == (IngestionStatus.FAIL, "embedding_lacking")
    assert LACKING in failed.error.message


async def test_a_file_of_a_base_without_vectors_is_found_by_its_words_alone(transactions: DatabaseTransactions) -> None:
    desk = KnowledgeDesk(transactions, embedders=ScriptedEmbedders(missing=LACKING))
    _, _, file = await filled(desk)
    assert (await desk.now(file)).status is IngestionStatus.SUCCESS
    assert {row[6] for row in await desk.chunks(file)} == {None}
