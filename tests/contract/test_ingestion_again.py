"""A file that is put in once more, or begun anew: nothing stands in a base twice, and nothing is lost."""

import asyncio

import pytest

from adapters.database.transactions import DatabaseTransactions
from adapters.scripted import embedding_failure
from application.knowledge import ingestion_steps
from application.paging import Window
from domain.errors import ModelError
from domain.files.documents import ParsedDocument
from domain.ids import UserId
from domain.knowledge.chunking import ChunkSize, chunks
from domain.knowledge.knowledge import CRASHED, MOST_SILENT, IngestionStatus, KnowledgeBase, KnowledgeFile
from knowledge_desk import Killed, KnowledgeDesk, Mortal, text_of
from stored import registered

TEXT = text_of(10)


@pytest.fixture
def desk(transactions: DatabaseTransactions) -> KnowledgeDesk:
    return KnowledgeDesk(transactions)


async def files_of(desk: KnowledgeDesk, base: KnowledgeBase) -> list[KnowledgeFile]:
    async with desk.transactions.autocommit() as tx:
        return [*await tx.knowledge_files.list(base.knowledge_id, Window(), owner=base.user_id)]


async def an_upload(desk: KnowledgeDesk) -> tuple[UserId, KnowledgeBase, str]:
    owner = await registered(desk.transactions)
    return owner, await desk.base(owner), await desk.upload(owner, TEXT)


async def test_the_same_upload_is_in_a_base_once_however_often_it_is_put_in(desk: KnowledgeDesk) -> None:
    owner, base, url = await an_upload(desk)
    first = await desk.add(owner, base.knowledge_id, url)
    assert await desk.add(owner, base.knowledge_id, url) == first
    assert await desk.queue.waiting() == 1
    await desk.run()
    done = await desk.now(first)
    assert done.status is IngestionStatus.SUCCESS
    assert await desk.add(owner, base.knowledge_id, url) == done
    assert await desk.queue.waiting() == 0
    assert await files_of(desk, base) == [done]
    assert len(await desk.chunks(done)) == done.chunks


async def test_put_in_at_once_it_is_there_once(desk: KnowledgeDesk) -> None:
    owner, base, url = await an_upload(desk)
    added = await asyncio.gather(*(desk.add(owner, base.knowledge_id, url) for _ in range(6)))
    assert len({file.knowledge_file_id for file in added}) == 1
    assert len(await files_of(desk, base)) == 1


async def test_put_in_again_a_failed_file_begins_anew(desk: KnowledgeDesk) -> None:
    owner, base, url = await an_upload(desk)
    file = await desk.add(owner, base.knowledge_id, url)
    desk.embedder.refuse = lambda _: ModelError("model_auth_failed", "No.")
    await desk.run()
    desk.embedder.refuse = None
    again = await desk.add(owner, base.knowledge_id, url)
    assert (again.knowledge_file_id, again.status) == (file.knowledge_file_id, IngestionStatus.PROCESS)
    await desk.run()
    assert [one.status for one in await files_of(desk, base)] == [IngestionStatus.SUCCESS]


async def test_what_was_taken_out_can_be_put_in_again(desk: KnowledgeDesk) -> None:
    owner, base, url = await an_upload(desk)
    first = await desk.add(owner, base.knowledge_id, url)
    await desk.delete_file(owner, first.knowledge_file_id)
    second = await desk.add(owner, base.knowledge_id, url)
    await desk.run()
    assert second.knowledge_file_id != first.knowledge_file_id
    assert [one.knowledge_file_id for one in await files_of(desk, base)] == [second.knowledge_file_id]


async def a_file_that_is_found(desk: KnowledgeDesk) -> KnowledgeFile:
    owner, base, url = await an_upload(desk)
    file = await desk.add(owner, base.knowledge_id, url)
    await desk.run()
    return await desk.now(file)


async def test_begun_anew_a_file_that_is_as_it_should_be_is_not_embedded_again(desk: KnowledgeDesk) -> None:
    file = await a_file_that_is_found(desk)
    before, embedded = await desk.chunks(file), len(desk.embedder.calls)
    anew = await desk.retry(file.user_id, file.knowledge_file_id)
    assert (anew.status, anew.progress, anew.chunks) == (IngestionStatus.PROCESS, 0.0, file.chunks)
    await desk.run()
    done = await desk.now(file)
    assert (done.status, done.progress, done.error) == (IngestionStatus.SUCCESS, 1.0, None)
    assert (await desk.chunks(file), len(desk.embedder.calls)) == (before, embedded)


async def test_begun_anew_a_file_is_cut_as_is_configured_now(desk: KnowledgeDesk) -> None:
    file = await a_file_that_is_found(desk)
    newer = desk.process(size=ChunkSize(30, 4))
    await newer.retry(file.user_id, file.knowledge_file_id)
    await newer.run()
    done = await desk.now(file)
    cut = chunks(ParsedDocument(TEXT), ChunkSize(30, 4))
    assert (done.status, done.chunks) == (IngestionStatus.SUCCESS, len(cut))
    assert [row[1] for row in await desk.chunks(file)] == [one.text for one in cut]


async def test_what_another_way_of_embedding_made_is_replaced_too(
    desk: KnowledgeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = await a_file_that_is_found(desk)
    embedded = len(desk.embedder.texts)
    monkeypatch.setattr(ingestion_steps, "VERSION", "another")
    await desk.retry(file.user_id, file.knowledge_file_id)
    await desk.run()
    assert len(desk.embedder.texts) == 2 * embedded


@pytest.mark.parametrize("trouble", ["upload", "model", "crash"])
async def test_what_can_not_be_begun_anew_stays_as_it_was_and_says_why(desk: KnowledgeDesk, trouble: str) -> None:
    file = await a_file_that_is_found(desk)
    before = await desk.chunks(file)
    newer = desk.process(size=ChunkSize(30, 4))
    if trouble == "upload":
        async with desk.transactions.autocommit() as tx:
            await tx.files.remove(file.file_id, desk.clock.now(), owner=file.user_id)
    elif trouble == "model":
        newer.embedders.away.add(newer.embedder.name)
    await newer.retry(file.user_id, file.knowledge_file_id)
    if trouble == "crash":
        job = desk.queue.take()
        for _ in range(MOST_SILENT):
            with pytest.raises(Killed):
                # After the try was counted.
                await desk.process(database=Mortal(desk.transactions, 8)).do(job)
        await desk.queue.put(job)
    await newer.run()
    kept = await desk.now(file)
    codes = {"upload": "file_not_found", "model": "embedding_unavailable"}
    assert kept.error is not None
    assert (kept.status, kept.progress) == (IngestionStatus.SUCCESS, 1.0)
    assert kept.error.code == codes.get(trouble, CRASHED.code)
    assert await desk.chunks(file) == before


@pytest.mark.parametrize("trouble", [ModelError("model_auth_failed", "No."), embedding_failure()])
async def test_a_model_that_refuses_takes_nothing_away_from_what_is_found(
    desk: KnowledgeDesk, trouble: ModelError
) -> None:
    file = await a_file_that_is_found(desk)
    before = await desk.chunks(file)
    newer = desk.process(size=ChunkSize(30, 4))
    newer.embedder.refuse = lambda _: trouble
    await newer.retry(file.user_id, file.knowledge_file_id)
    await newer.run()
    kept = await desk.now(file)
    assert kept.error is not None
    assert (kept.status, kept.error.code) == (IngestionStatus.SUCCESS, trouble.code)
    assert await desk.chunks(file) == before
    newer.embedder.refuse = None
    newer.embedder.calls.clear()
    await newer.retry(file.user_id, file.knowledge_file_id)
    await newer.run()
    done = await desk.now(file)
    assert (done.status, done.error, done.chunks) == (IngestionStatus.SUCCESS, None, len(newer.embedder.texts))
    assert [row[0] for row in await desk.chunks(file)] == list(range(done.chunks))
