"""Trouble with a file is told and tried again later and later; what lasts, and what kills workers, ends as failed."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from math import inf, nan

import pytest

from adapters.database.transactions import DatabaseTransactions
from adapters.scripted import ScriptedEmbedder, embedding_failure
from application.ports.document_parser import DocumentRefused
from application.ports.job_queue import Again
from domain.errors import ModelError
from domain.files.documents import ParsedDocument
from domain.knowledge.embeddings import Vector
from domain.knowledge.knowledge import (
    CRASHED,
    DEFECT,
    MOST_ATTEMPTS,
    MOST_SILENT,
    MOST_UNREAD,
    IngestionError,
    IngestionStatus,
    KnowledgeFile,
    pause_before,
)
from file_desk import MemoryFiles, PlainParser
from knowledge_desk import Killed, KnowledgeDesk, text_of
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


@pytest.mark.parametrize("failures", [0, 1, 6, MOST_ATTEMPTS - 1, MOST_ATTEMPTS])
async def test_trouble_that_passes_is_tried_again_later_and_later(desk: KnowledgeDesk, failures: int) -> None:
    file = await in_work(desk)
    desk.embedder.failures = [embedding_failure() for _ in range(failures)]
    await desk.run()
    ended = await desk.now(file)
    if failures == MOST_ATTEMPTS:
        assert has_failed(ended, "model_unavailable")
        assert await desk.chunks(file) == []
    else:
        assert (ended.status, ended.error) == (IngestionStatus.SUCCESS, None)
    tries = min(failures, MOST_ATTEMPTS - 1)
    assert desk.queue.pauses == [pause_before(attempt) for attempt in range(1, tries + 1)]


async def test_while_it_waits_for_the_next_try_the_reason_is_shown(desk: KnowledgeDesk) -> None:
    file = await in_work(desk)
    desk.storage.down = True
    assert await desk.do(desk.queue.take()) == Again(pause_before(1))
    waiting = await desk.now(file)
    assert waiting.error is not None
    assert (waiting.status, waiting.error.code) == (IngestionStatus.PROCESS, "storage_unavailable")


async def test_progress_makes_earlier_failures_count_no_more(desk: KnowledgeDesk) -> None:
    file = await in_work(desk, text_of(60))
    calls = 0

    def every_second(_texts: object) -> Exception | None:
        nonlocal calls
        calls += 1
        return embedding_failure() if calls % 2 else None

    desk.embedder.refuse = every_second
    await desk.run()
    assert calls > 2 * MOST_ATTEMPTS
    assert (await desk.now(file)).status is IngestionStatus.SUCCESS
    assert set(desk.queue.pauses) == {pause_before(1)}


@pytest.mark.parametrize(
    ("asked", "pause"),
    [(90.0, 90.0), (0.5, 2.0), *((huge, 3600.0) for huge in (1e9, 1e300, inf)), *((bad, 2.0) for bad in (nan, -1e300))],
)
async def test_a_provider_says_when_to_come_again(desk: KnowledgeDesk, asked: float, pause: float) -> None:
    file = await in_work(desk)
    desk.embedder.failures = [embedding_failure("model_rate_limited", retry_after=asked)]
    await desk.run()
    assert desk.queue.pauses == [timedelta(seconds=pause)]
    assert (await desk.now(file)).status is IngestionStatus.SUCCESS


async def test_what_no_other_try_would_mend_fails_at_once_and_leaves_no_chunk(desk: KnowledgeDesk) -> None:
    file = await in_work(desk)
    desk.embedder.refuse = lambda _: ModelError("model_auth_failed", "No.") if len(desk.embedder.calls) > 2 else None
    await desk.run()
    assert has_failed(await desk.now(file), "model_auth_failed")
    assert len(desk.embedder.calls) == 3
    assert await desk.chunks(file) == []


async def test_an_answer_that_is_no_embedding_costs_a_try_and_no_work(desk: KnowledgeDesk) -> None:
    file = await in_work(desk)
    nonsense = ModelError("model_bad_response", "The embedding model's server sent something that is not embeddings.")
    desk.embedder.refuse = lambda _: nonsense if len(desk.embedder.calls) == 3 else None
    await desk.run()
    ended = await desk.now(file)
    assert (ended.status, ended.error) == (IngestionStatus.SUCCESS, None)
    assert desk.queue.pauses == [pause_before(1)]
    assert len(set(desk.embedder.texts)) == ended.chunks
    desk.embedder.refuse = lambda _: nonsense
    broken = await desk.file(file.user_id, await desk.base(file.user_id, "Another"), text_of(3, "sea"))
    await desk.run()
    assert has_failed(await desk.now(broken), "model_bad_response")


class BusyParser(PlainParser):
    """Too slow for some tries."""

    busy = 0

    async def parse(self, *given: object) -> ParsedDocument:
        if self.busy:
            self.busy -= 1
            raise DocumentRefused(self.code, "took longer than 60 seconds to read", lasting=False)
        return await super().parse(*given)  # type: ignore[arg-type]

    code = "file_parse_timeout"


@pytest.mark.parametrize("code", ["file_parse_timeout", "file_too_complex"])
@pytest.mark.parametrize("failures", [1, MOST_UNREAD - 1, MOST_UNREAD])
async def test_a_document_that_was_not_read_under_load_is_read_again_a_few_times(
    transactions: DatabaseTransactions, code: str, failures: int
) -> None:
    parser = BusyParser()
    parser.busy, parser.code = failures, code
    desk = KnowledgeDesk(transactions, parser=parser)
    file = await in_work(desk)
    await desk.run()
    ended = await desk.now(file)
    assert len(desk.queue.pauses) == min(failures, MOST_UNREAD - 1)
    if failures < MOST_UNREAD:
        assert (ended.status, ended.error) == (IngestionStatus.SUCCESS, None)
    else:
        assert has_failed(ended, code)
        assert ended.error == IngestionError(code, "notes.txt took longer than 60 seconds to read")


async def test_it_is_read_again_when_the_refusal_is_no_longer_remembered(transactions: DatabaseTransactions) -> None:
    parser = BusyParser()
    parser.busy = 1
    desk = KnowledgeDesk(transactions, parser=parser)
    await in_work(desk)
    steps = replace(desk.steps, read=replace(desk.read, refused_seconds=60.0))
    again = await replace(desk.ingest, steps=steps)(desk.queue.take())
    assert again is not None
    assert again.delay > timedelta(seconds=60)


async def test_a_model_that_can_not_be_reached_is_waited_for(desk: KnowledgeDesk) -> None:
    file = await in_work(desk)
    desk.embedders.away.add(desk.embedder.name)
    again = await desk.do(desk.queue.take())
    assert again is not None
    waiting = await desk.now(file)
    assert waiting.error is not None
    assert waiting.error.code == "embedding_unavailable"


async def test_a_worker_with_another_storage_leaves_the_file_to_the_others_and_tells_its_operator(
    desk: KnowledgeDesk,
) -> None:
    file = await in_work(desk)
    elsewhere = desk.process(storage=MemoryFiles())
    job = desk.queue.take()
    again = await elsewhere.do(job)
    assert again is not None
    waiting = await desk.now(file)
    assert waiting.error is not None
    assert (waiting.status, waiting.error.code) == (IngestionStatus.PROCESS, "file_content_missing")
    assert "notes.txt" in waiting.error.message
    assert file.file_id not in waiting.error.message
    assert [one.file_id for one in elsewhere.missing] == [file.file_id]
    await desk.queue.put_again(job, again)
    await desk.run()
    assert (await desk.now(file)).status is IngestionStatus.SUCCESS


async def test_a_file_whose_content_is_nowhere_fails_in_the_end(desk: KnowledgeDesk) -> None:
    file = await in_work(desk)
    desk.storage.contents.clear()
    await desk.run()
    assert has_failed(await desk.now(file), "file_content_missing")
    assert len(desk.missing) == MOST_ATTEMPTS


class KillingParser(PlainParser):
    async def parse(self, *given: object) -> ParsedDocument:
        document = await super().parse(*given)  # type: ignore[arg-type]
        if document.text.startswith("poison"):
            raise Killed
        return document


async def test_a_file_that_kills_its_workers_fails_in_the_end_and_blocks_no_other(
    transactions: DatabaseTransactions,
) -> None:
    desk = KnowledgeDesk(transactions, parser=KillingParser())
    owner = await registered(transactions)
    base = await desk.base(owner)
    poisoned = await desk.file(owner, base, "poison in words")
    good = await desk.file(owner, base, TEXT)
    await desk.run()
    failed = await desk.now(poisoned)
    assert (failed.status, failed.error) == (IngestionStatus.FAIL, CRASHED)
    assert len(desk.queue.failures) == MOST_SILENT
    assert (await desk.now(good)).status is IngestionStatus.SUCCESS
    assert desk.queue.done.index(good.knowledge_file_id) == 1


async def test_a_chunk_that_kills_its_workers_ends_the_same_way(desk: KnowledgeDesk) -> None:
    file = await in_work(desk)

    def deadly(texts: object) -> Exception | None:
        if "paragraph7" in str(texts):
            raise Killed
        return None

    desk.embedder.refuse = deadly
    await desk.run()
    failed = await desk.now(file)
    assert (failed.status, failed.error, await desk.chunks(file)) == (IngestionStatus.FAIL, CRASHED, [])


async def test_a_defect_of_ours_is_told_as_such_counted_once_a_try_and_reported_each_time(desk: KnowledgeDesk) -> None:
    class Miscounting(ScriptedEmbedder):
        async def passages(self, texts: Sequence[str]) -> Sequence[Vector]:
            return (await super().passages(texts))[:-1]

    file = await in_work(desk)
    await desk.process(embedder=Miscounting()).run()
    assert (await desk.now(file)).error == DEFECT
    assert [type(failure) for failure in desk.queue.failures] == [ValueError] * MOST_ATTEMPTS
