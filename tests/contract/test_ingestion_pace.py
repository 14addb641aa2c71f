"""Work on files lets others go on, and one text that a model refuses does not end it."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import pytest

from adapters.database.transactions import DatabaseTransactions
from adapters.scripted import ScriptedEmbedder, vector_of
from application.knowledge import ingestion_steps
from application.knowledge.ingestion_steps import emptied
from application.ports.persistence import Transactions
from domain.errors import ModelError
from domain.files.documents import ParsedDocument
from domain.knowledge.chunking import chunks
from domain.knowledge.embedding_text import embedding_text
from domain.knowledge.embeddings import Vector
from domain.knowledge.knowledge import IngestionError, IngestionStatus
from file_desk import PlainParser
from knowledge_desk import SMALL, KnowledgeDesk, text_of, turns
from meddled import Meddled
from stored import registered

TEXT = text_of(10)


async def test_others_go_on_while_chunks_are_taken_away(
    transactions: DatabaseTransactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingestion_steps, "REMOVED_AT_ONCE", 1)
    desk = KnowledgeDesk(transactions, slice_seconds=0.0)
    owner = await registered(transactions)
    file = await desk.file(owner, await desk.base(owner), TEXT)
    await desk.do(desk.queue.take())
    begun = await desk.now(file)
    meddled = Meddled(transactions)
    async with turns(lambda: meddled.calls["chunks.remove_of_file"]) as seen:
        await emptied(cast(Transactions, meddled), begun, begun.planned("p", 9, desk.clock.now()))
    assert await desk.chunks(file) == []
    assert begun.chunks == 4
    assert {1, 2, 3, 4} <= set(seen)


@pytest.mark.parametrize("half_too", [False, True])
async def test_a_text_that_is_refused_whole_is_found_by_its_first_half_or_fails(
    transactions: DatabaseTransactions, half_too: bool
) -> None:
    desk = KnowledgeDesk(transactions)
    owner = await registered(transactions)
    base = await desk.base(owner)
    known = await desk.file(owner, base, TEXT)
    await desk.run()
    expected = await desk.chunks(known)
    whole = embedding_text("notes.txt", (), expected[5][1])
    half = whole[: len(whole) // 2]
    poisoned = {whole, half} if half_too else {whole}
    embedder = ScriptedEmbedder(
        refuse=lambda texts: ModelError("content_refused", "No.") if poisoned & set(texts) else None
    )
    file = await desk.file(owner, base, TEXT)
    await desk.process(embedder=embedder).run()
    ended, rows = await desk.now(file), await desk.chunks(file)
    if half_too:
        assert (ended.status, ended.error) == (IngestionStatus.FAIL, IngestionError("content_refused", "No."))
        assert rows == []
    else:
        assert ended.status is IngestionStatus.SUCCESS
        assert rows == [*expected[:5], (*expected[5][:7], vector_of(half, 64, embedder.name)), *expected[6:]]


class CuttingParser(PlainParser):
    async def parse(self, *given: object) -> ParsedDocument:
        return replace(await super().parse(*given), cut="only the first 3 pages were read")  # type: ignore[arg-type]


async def test_success_with_a_part_of_a_document_says_what_was_left_out(transactions: DatabaseTransactions) -> None:
    desk = KnowledgeDesk(transactions, parser=CuttingParser(), slice_seconds=0.0)
    owner = await registered(transactions)
    file = await desk.file(owner, await desk.base(owner), TEXT)
    await desk.run()
    done = await desk.now(file)
    assert done.error is not None
    assert (done.status, done.progress, done.error.code) == (IngestionStatus.SUCCESS, 1.0, "file_cut_short")
    assert done.error.message == "Only a part can be searched: only the first 3 pages were read"


async def test_the_time_that_reading_takes_is_not_taken_from_storing(
    transactions: DatabaseTransactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, passed = asyncio.get_running_loop(), 0.0
    real = loop.time

    class SlowParser(PlainParser):
        async def parse(self, *given: object) -> ParsedDocument:
            nonlocal passed
            passed += 1000.0
            return await super().parse(*given)  # type: ignore[arg-type]

    desk = KnowledgeDesk(transactions, parser=SlowParser())
    owner = await registered(transactions)
    file = await desk.file(owner, await desk.base(owner), TEXT)
    monkeypatch.setattr(loop, "time", lambda: real() + passed)
    await desk.run()
    assert (await desk.now(file)).status is IngestionStatus.SUCCESS
    assert passed == 1000.0
    assert len(desk.queue.done) == 1


async def test_what_a_file_says_again_and_again_is_embedded_once(transactions: DatabaseTransactions) -> None:
    desk = KnowledgeDesk(transactions)
    owner = await registered(transactions)
    file = await desk.file(owner, await desk.base(owner), "x" * 9_000)
    await desk.run()
    done, rows = await desk.now(file), await desk.chunks(file)
    assert done.status is IngestionStatus.SUCCESS
    assert len(rows) == done.chunks > 100
    texts = {embedding_text("notes.txt", (), row[1]) for row in rows}
    assert sorted(desk.embedder.texts) == sorted(texts)
    assert [row[7] for row in rows] == [vector_of(embedding_text("notes.txt", (), row[1]), 64, row[6]) for row in rows]


class Counted(bytes):
    """A vector of which it is known how many are alive."""

    alive = 0

    def __init__(self, _: bytes) -> None:
        Counted.alive += 1

    def __del__(self) -> None:
        Counted.alive -= 1


class CountingEmbedder(ScriptedEmbedder):
    most = 0

    async def passages(self, texts: Sequence[str]) -> Sequence[Vector]:
        made = [Vector(Counted(one)) for one in await super().passages(texts)]
        self.most = max(self.most, Counted.alive)
        return made


async def test_however_long_a_file_is_the_vectors_of_two_batches_are_in_memory_at_most(
    transactions: DatabaseTransactions,
) -> None:
    embedder = CountingEmbedder()
    desk = KnowledgeDesk(transactions, embedder=embedder)
    owner = await registered(transactions)
    file = await desk.file(owner, await desk.base(owner), text_of(60))
    await desk.run()
    assert len(await desk.chunks(file)) == len(embedder.texts) > 10 * embedder.batch
    assert 0 < embedder.most <= 2 * embedder.batch


@pytest.mark.parametrize("over", [0, 1])
async def test_a_file_of_too_many_chunks_fails_before_anything_is_embedded(
    transactions: DatabaseTransactions, over: int
) -> None:
    many = len(chunks(ParsedDocument(TEXT), SMALL))
    desk = KnowledgeDesk(transactions, most_chunks=many - over)
    owner = await registered(transactions)
    file = await desk.file(owner, await desk.base(owner), TEXT)
    await desk.run()
    ended = await desk.now(file)
    if not over:
        assert ended.status is IngestionStatus.SUCCESS
        return
    assert (ended.status, ended.chunks, desk.embedder.calls) == (IngestionStatus.FAIL, 0, [])
    assert ended.error is not None
    assert ended.error.code == "file_too_many_chunks"
    assert ended.error.message == f"notes.txt makes {many} chunks, and a file may have {many - 1}: divide it"
