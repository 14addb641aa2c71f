"""A file in a base is read, cut, embedded and stored; what goes wrong is told, tried again, or final."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest

from adapters.database.transactions import DatabaseTransactions
from adapters.scripted import ScriptedEmbedder, ScriptedEmbedders, embedding_failure, vector_of
from application.knowledge.ingestion_steps import STORED_AT_ONCE
from domain.errors import Conflict, InvalidValue, ModelError, NotFound
from domain.files.documents import ParsedDocument
from domain.files.files import FileKind
from domain.ids import KnowledgeId
from domain.knowledge.chunking import ChunkSize, chunks
from domain.knowledge.embedding_text import embedding_text
from domain.knowledge.embeddings import Vector
from domain.knowledge.knowledge import CONTEST_PATIENCE, IngestionStatus, KnowledgeFile, Stage
from file_desk import stored
from knowledge_desk import SMALL, KnowledgeDesk, text_of
from patience import PATIENCE
from stored import registered

TEXT = text_of(10)


@pytest.fixture
def desk(transactions: DatabaseTransactions) -> KnowledgeDesk:
    return KnowledgeDesk(transactions)


async def in_work(desk: KnowledgeDesk, text: str = TEXT) -> KnowledgeFile:
    owner = await registered(desk.transactions)
    return await desk.file(owner, await desk.base(owner), text)


def has_failed(file: KnowledgeFile, code: str) -> bool:
    assert file.error is not None
    return (file.status, file.error.code, file.chunks) == (IngestionStatus.FAIL, code, 0)


async def test_every_chunk_is_stored_with_its_place_and_its_vector(desk: KnowledgeDesk) -> None:
    file = await in_work(desk)
    assert (file.status, file.stage, file.progress) == (IngestionStatus.PROCESS, Stage.QUEUED, 0.0)
    await desk.run()
    done = await desk.now(file)
    assert (done.status, done.stage, done.progress, done.error) == (IngestionStatus.SUCCESS, Stage.DONE, 1.0, None)
    cut = chunks(ParsedDocument(TEXT), SMALL)
    assert len(cut) >= 10
    assert done.chunks == done.total == len(cut)
    rows = await desk.chunks(file)
    assert [row[:5] for row in rows] == [(n, one.text, one.page, one.start, one.end) for n, one in enumerate(cut)]
    model = desk.embedder.model
    texts = [embedding_text("notes.txt", one.headings, one.text) for one in cut]
    assert [row[6:] for row in rows] == [(model.name, vector_of(one, model.dimensions, model.name)) for one in texts]


async def test_texts_are_embedded_once_and_in_batches(desk: KnowledgeDesk) -> None:
    file = await in_work(desk)
    await desk.run()
    count = (await desk.now(file)).chunks
    assert len(desk.embedder.texts) == count
    assert [len(call) for call in desk.embedder.calls] == [4] * (count // 4) + ([count % 4] if count % 4 else [])


async def test_without_an_embedding_model_chunks_have_no_vectors(transactions: DatabaseTransactions) -> None:
    desk = KnowledgeDesk(transactions, embedders=ScriptedEmbedders())
    file = await in_work(desk, text_of(STORED_AT_ONCE + 6))
    await desk.run()
    rows = await desk.chunks(file)
    assert (await desk.now(file)).status is IngestionStatus.SUCCESS
    assert len(rows) > STORED_AT_ONCE
    assert {row[6:] for row in rows} == {(None, None)}


async def test_the_same_file_in_two_bases_is_read_once_and_stored_twice(desk: KnowledgeDesk) -> None:
    owner = await registered(desk.transactions)
    url = await desk.upload(owner, TEXT)
    bases = [await desk.base(owner, name) for name in ("one", "two")]
    files = [await desk.add(owner, base.knowledge_id, url) for base in bases]
    await desk.run()
    assert await desk.chunks(files[0]) == await desk.chunks(files[1]) != []
    assert len(desk.parser.parsed) == 1
    await desk.delete(owner, bases[0].knowledge_id)
    await desk.run()
    assert await desk.chunks(files[0]) == []
    assert len(await desk.chunks(files[1])) == (await desk.now(files[1])).chunks


@pytest.mark.parametrize("text", [" \n\n\t ", "\f\f"])
async def test_a_document_without_words_fails_and_says_so(desk: KnowledgeDesk, text: str) -> None:
    file = await in_work(desk, text)
    await desk.run()
    assert has_failed(await desk.now(file), "file_no_text")


@pytest.mark.parametrize("code", ["file_encrypted", "file_empty", "file_no_text"])
async def test_what_can_not_be_read_fails_at_once_with_the_parser_s_words(desk: KnowledgeDesk, code: str) -> None:
    file = await in_work(desk, f"refuse {code}")
    await desk.run()
    failed = await desk.now(file)
    assert has_failed(failed, code)
    assert failed.error is not None
    assert failed.error.message == "notes.txt can't be read"
    assert desk.queue.done == [file.knowledge_file_id]


async def test_a_file_whose_upload_was_deleted_fails(desk: KnowledgeDesk) -> None:
    file = await in_work(desk)
    async with desk.transactions.autocommit() as tx:
        await tx.files.remove(file.file_id, desk.clock.now(), owner=file.user_id)
    await desk.run()
    failed = await desk.now(file)
    assert has_failed(failed, "file_not_found")
    assert failed.error is not None
    assert failed.error.message == "The upload of notes.txt was deleted."


async def test_retry_begins_anew_what_has_ended_and_nothing_else(desk: KnowledgeDesk) -> None:
    file = await in_work(desk)
    with pytest.raises(Conflict):
        await desk.retry(file.user_id, file.knowledge_file_id)
    desk.embedder.refuse = lambda _: ModelError("model_auth_failed", "No.")
    await desk.run()
    desk.embedder.refuse = None
    anew = await desk.retry(file.user_id, file.knowledge_file_id)
    assert (anew.status, anew.stage, anew.error) == (IngestionStatus.PROCESS, Stage.QUEUED, None)
    await desk.run()
    done = await desk.now(file)
    assert done.status is IngestionStatus.SUCCESS
    assert len(await desk.chunks(file)) == done.chunks == done.total


async def test_another_way_of_cutting_replaces_what_the_old_one_left(desk: KnowledgeDesk) -> None:
    file = await in_work(desk)
    desk.embedder.refuse = lambda _: embedding_failure() if len(desk.embedder.calls) > 2 else None
    await desk.do(job := desk.queue.take())
    assert len(await desk.chunks(file)) == 8
    newer = desk.process(size=ChunkSize(30, 4))
    desk.clock.moment += CONTEST_PATIENCE
    await newer.do(job)
    rows = await desk.chunks(file)
    assert [row[1] for row in rows] == [one.text for one in chunks(ParsedDocument(TEXT), ChunkSize(30, 4))]
    assert (await desk.now(file)).status is IngestionStatus.SUCCESS


async def test_a_long_file_gives_way_after_its_slice_and_repeats_nothing(transactions: DatabaseTransactions) -> None:
    desk = KnowledgeDesk(transactions, slice_seconds=0.0)
    file = await in_work(desk)
    await desk.run()
    done = await desk.now(file)
    assert done.status is IngestionStatus.SUCCESS
    assert len(desk.queue.done) == len(desk.embedder.calls) == -(-done.chunks // 4)
    assert len(desk.embedder.texts) == done.chunks
    assert len(desk.parser.parsed) == 1


async def test_only_one_s_own_upload_gets_into_one_s_own_base(desk: KnowledgeDesk) -> None:
    ann, bob = await registered(desk.transactions), await registered(desk.transactions)
    base = await desk.base(ann)
    ours, theirs = await desk.upload(ann, TEXT), await desk.upload(bob, TEXT)
    for url in (theirs, "https://example.org/a.pdf", "", "\x00", ours.replace("?", "x?")):
        with pytest.raises(InvalidValue) as refused:
            await desk.add(ann, base.knowledge_id, url)
        assert refused.value.code == "file_url_refused"
    for actor, knowledge_id, url in ((bob, base.knowledge_id, theirs), (ann, KnowledgeId("none"), ours)):
        with pytest.raises(NotFound):
            await desk.add(actor, knowledge_id, url)
    assert await desk.queue.waiting() == 0


async def test_a_picture_has_no_text(desk: KnowledgeDesk) -> None:
    owner = await registered(desk.transactions)
    base = await desk.base(owner)
    url = await stored(desk.transactions, desk.storage, owner, b"x", "a.png", FileKind.PNG)
    with pytest.raises(InvalidValue) as refused:
        await desk.add(owner, base.knowledge_id, url)
    assert refused.value.code == "file_no_text"


async def test_jobs_about_nothing_do_nothing(desk: KnowledgeDesk) -> None:
    file = await in_work(desk)
    job = desk.queue.take()
    for other in (replace(job, subject="none"), replace(job, generation=job.generation + 1)):
        assert await desk.do(other) is None
    assert await desk.now(file) == file


async def test_no_transaction_is_open_while_anything_is_embedded(desk: KnowledgeDesk) -> None:
    file = await in_work(desk)
    desk.embedder.gate = asyncio.Event()
    work = asyncio.create_task(desk.run())
    async with asyncio.timeout(PATIENCE):
        await desk.embedder.reached.wait()
    async with desk.transactions.begin() as tx:
        await tx.knowledge_files.touch([file.knowledge_file_id], desk.clock.now())
    desk.embedder.gate.set()
    await work
    assert (await desk.now(file)).status is IngestionStatus.SUCCESS


@dataclass
class Held(ScriptedEmbedder):
    """Waits at its third batch."""

    third: asyncio.Event = field(default_factory=asyncio.Event)

    async def passages(self, texts: Sequence[str]) -> Sequence[Vector]:
        self.gate = self.third if len(self.calls) == 2 else None
        return await super().passages(texts)


@pytest.mark.parametrize("what", ["file", "base", "account"])
async def test_of_what_is_removed_no_further_batch_is_embedded(transactions: DatabaseTransactions, what: str) -> None:
    embedder = Held()
    desk = KnowledgeDesk(transactions, embedder=embedder)
    file = await in_work(desk, text_of(30))
    work = asyncio.create_task(desk.do(desk.queue.take()))
    async with asyncio.timeout(PATIENCE):
        await embedder.reached.wait()
    if what == "file":
        await desk.delete_file(file.user_id, file.knowledge_file_id)
    elif what == "base":
        await desk.delete(file.user_id, file.knowledge_id)
    else:
        async with transactions.begin() as tx:
            await tx.users.remove(file.user_id)
    embedder.third.set()
    assert await work is None
    assert len(embedder.calls) == 3
    await desk.keep.once()
    await desk.run()
    assert (len(embedder.calls), await desk.chunks(file)) == (3, [])


async def test_each_batch_costs_the_same_few_statements(desk: KnowledgeDesk, statements: list[str]) -> None:
    owner = await registered(desk.transactions)
    base = await desk.base(owner)
    costs, batches = [], []
    for paragraphs in (8, 40, 160):
        await desk.file(owner, base, text_of(paragraphs))
        statements.clear()
        desk.embedder.calls.clear()
        await desk.run()
        costs.append(len(statements))
        batches.append(len(desk.embedder.calls))
    slopes = {(costs[n + 1] - costs[n]) / (batches[n + 1] - batches[n]) for n in range(2)}
    assert len(slopes) == 1
    assert slopes.pop() <= 12
    assert costs[0] <= 60
