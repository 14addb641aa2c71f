"""Chunks with their terms and vectors: stored once, by whoever may; shown to their owner; gone in portions."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.database.transactions import DatabaseTransactions
from application.ports.knowledge import ChunkToEmbed
from domain.ids import ChunkId, KnowledgeId
from domain.knowledge.knowledge import IngestionStatus, KnowledgeFile, Stage
from domain.knowledge.retrieval import FoundChunk
from stored import NOW, registered, seconds
from stored_knowledge import MODEL, counters, left, new_chunk, vector, with_base, with_chunks, with_file

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=200)


@settings(max_examples=20)
@given(
    content=TEXT,
    page=st.none() | st.integers(1, 9999),
    start=st.integers(0, 2**40),
    headings=st.lists(TEXT, max_size=3).map(tuple),
)
async def test_a_chunk_comes_back_as_stored(
    transactions: DatabaseTransactions, content: str, page: int | None, start: int, headings: tuple[str, ...]
) -> None:
    owner = await registered(transactions)
    base = await with_base(transactions, owner)
    file = await with_file(transactions, base)
    end = start + len(content)
    new = new_chunk(3, "word", content=content, page=page, start=start, end=end, headings=headings, vector=None)
    async with transactions.autocommit() as tx:
        assert await tx.chunks.add(file, [new], None, NOW)
        [hit] = await transactions.lexical().search(["word"], [base.knowledge_id], 5)
        shown = FoundChunk(
            hit.chunk_id, base.knowledge_id, file.knowledge_file_id, 3, file.name, content, page, start, end
        )
        assert await tx.chunks.shown([hit.chunk_id, hit.chunk_id, ChunkId(-1)], owner=owner) == [shown]
        wanted = ChunkToEmbed(hit.chunk_id, content, headings, file.name)
        assert await tx.chunks.without_vector(base.knowledge_id, MODEL, 5) == [wanted]


async def test_chunks_that_are_stored_stay_as_they_are_and_the_file_counts_them(
    transactions: DatabaseTransactions,
) -> None:
    owner = await registered(transactions)
    base = await with_base(transactions, owner)
    file = await with_chunks(transactions, base, [["a"], ["b"]])
    assert await counters(transactions, base) == (1, 0)
    again = [new_chunk(1, "other", content="other"), new_chunk(2, "c"), new_chunk(2, "twice")]
    async with transactions.autocommit() as tx:
        for _ in range(2):
            assert await tx.chunks.add(replace(file, stage=Stage.EMBED), again, MODEL, seconds(7))
        assert await tx.chunks.add(file, [], MODEL, seconds(8))
        stored = await tx.knowledge_files.get(file.knowledge_file_id, owner=owner)
        assert stored == replace(file, chunks=3, updated_at=seconds(8))
        assert not await transactions.lexical().search(["other"], [base.knowledge_id], 9)
    assert await counters(transactions, base) == (2, 0)
    rows = await left(transactions)
    assert rows["chunks"] == rows["chunk_vectors"] == rows["chunk_terms"] == 3


@pytest.mark.parametrize(
    "change",
    [
        lambda file: replace(file, plan="another"),
        lambda file: replace(file, plan=None),
        lambda file: replace(file, generation=1),
        lambda file: replace(file, knowledge_file_id="none"),
        lambda file: replace(file, knowledge_id="none"),
    ],
)
async def test_work_of_another_plan_or_generation_stores_nothing(
    transactions: DatabaseTransactions, change: Callable[[KnowledgeFile], KnowledgeFile]
) -> None:
    file = await with_file(transactions, await with_base(transactions, await registered(transactions)))
    async with transactions.autocommit() as tx:
        assert not await tx.chunks.add(change(file), [new_chunk(0, "a")], MODEL, NOW)
    assert await left(transactions) == {"knowledge_bases": 1, "knowledge_files": 1}


async def test_a_file_without_a_plan_or_at_its_end_takes_no_chunk(transactions: DatabaseTransactions) -> None:
    base = await with_base(transactions, await registered(transactions))
    file = await with_file(transactions, base)
    async with transactions.autocommit() as tx:
        for now in (file.without_plan(NOW), replace(file, status=IngestionStatus.SUCCESS)):
            assert await tx.knowledge_files.record(now)
            assert not await tx.chunks.add(file, [new_chunk(0, "a")], MODEL, NOW)
            assert not await tx.chunks.add(now, [new_chunk(0, "a")], MODEL, NOW)
    assert "chunks" not in await left(transactions)


async def test_a_failed_transaction_stores_neither_chunk_nor_term_nor_vector(
    transactions: DatabaseTransactions,
) -> None:
    base = await with_base(transactions, await registered(transactions))
    file = await with_file(transactions, base)

    async def store_and_fail() -> None:
        async with transactions.begin() as tx:
            assert await tx.chunks.add(file, [new_chunk(0, "a")], MODEL, NOW)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await store_and_fail()
    assert await left(transactions) == {"knowledge_bases": 1, "knowledge_files": 1}


async def test_removing_the_chunks_of_a_file_takes_the_last_first_and_the_number_follows(
    transactions: DatabaseTransactions,
) -> None:
    owner = await registered(transactions)
    base = await with_base(transactions, owner)
    file, other = [await with_chunks(transactions, base, [["a"]] * 3) for _ in range(2)]
    async with transactions.autocommit() as tx:
        assert await tx.chunks.remove_of_file(file.knowledge_file_id, 2) == 2
        assert (await tx.knowledge_files.get(file.knowledge_file_id, owner=owner)).chunks == 1
        assert (await tx.knowledge_files.get(other.knowledge_file_id, owner=owner)).chunks == 3
        hits = await transactions.lexical().search(["a"], [base.knowledge_id], 9)
        shown = await tx.chunks.shown([hit.chunk_id for hit in hits], owner=owner)
        assert [one.ordinal for one in shown if one.knowledge_file_id == file.knowledge_file_id] == [0]
        assert len(shown) == 4
        assert await tx.chunks.remove_of_file(file.knowledge_file_id, 2) == 1
        assert await tx.chunks.remove_of_file(file.knowledge_file_id, 2) == 0
    assert await counters(transactions, base) == (2, 2)


async def test_no_number_of_a_chunk_is_given_twice(transactions: DatabaseTransactions) -> None:
    base = await with_base(transactions, await registered(transactions))
    file = await with_chunks(transactions, base, [["a"]] * 3)
    before = await transactions.lexical().search(["a"], [base.knowledge_id], 9)
    async with transactions.autocommit() as tx:
        await tx.chunks.remove_of_file(file.knowledge_file_id, 9)
        await tx.chunks.add(file, [new_chunk(0, "a")], MODEL, NOW)
    [after] = await transactions.lexical().search(["a"], [base.knowledge_id], 9)
    assert after.chunk_id > max(hit.chunk_id for hit in before)


async def test_a_base_is_switched_when_no_chunk_lacks_its_vector(transactions: DatabaseTransactions) -> None:
    owner = await registered(transactions)
    base = await with_base(transactions, owner)
    await with_chunks(transactions, base, [["a"]] * 5)
    new = "scripted/new"
    async with transactions.autocommit() as tx:
        assert await tx.knowledge.of_other_models(new, 9) == [base.knowledge_id]
        assert await tx.knowledge.of_other_models(new, 9, base.knowledge_id) == []
        first = await tx.chunks.without_vector(base.knowledge_id, new, 3)
        rest = await tx.chunks.without_vector(base.knowledge_id, new, 9, first[-1].chunk_id)
        ids = [one.chunk_id for one in (*first, *rest)]
        assert ids == sorted(set(ids))
        assert len(ids) == 5
        await tx.chunks.add_vectors(base.knowledge_id, new, [(one, vector(one)) for one in ids[:4]])
        assert not await tx.knowledge.switch(base.knowledge_id, new)
        assert (await tx.knowledge.get(base.knowledge_id, owner=owner)).model == MODEL
        more = [(ids[0], vector(99)), (ids[4], vector(4)), (ChunkId(10**9), vector(1))]
        await tx.chunks.add_vectors(base.knowledge_id, new, more)
        await tx.chunks.add_vectors(KnowledgeId("none"), new, more)
        await tx.chunks.add_vectors(base.knowledge_id, new, [])
        assert await tx.knowledge.switch(base.knowledge_id, new)
        assert (await tx.knowledge.get(base.knowledge_id, owner=owner)).model == new
        assert await tx.knowledge.of_other_models(new, 9) == []
        assert (await left(transactions))["chunk_vectors"] == 10
        before = await counters(transactions, base)
        portions = [await tx.chunks.remove_vectors(base.knowledge_id, but=new, limit=3) for _ in range(3)]
        assert portions == [3, 2, 0]
        assert await counters(transactions, base) == before
        assert await tx.chunks.without_vector(base.knowledge_id, new, 9) == []
        # Those by which it is searched stay, whatever model somebody takes for its own.
        assert await tx.chunks.remove_vectors(base.knowledge_id, but=MODEL, limit=3) == 0
        assert (await left(transactions))["chunk_vectors"] == 5
        assert await counters(transactions, base) == before


@pytest.mark.parametrize("meanwhile", [None, "scripted/other"])
async def test_a_base_that_took_chunks_without_its_vectors_is_listed_until_it_is_switched(
    transactions: DatabaseTransactions, meanwhile: str | None
) -> None:
    base = await with_base(transactions, await registered(transactions))
    file = await with_chunks(transactions, base, [["a"]])
    made = None if meanwhile is None else vector()
    async with transactions.autocommit() as tx:
        assert await tx.knowledge.of_other_models(MODEL, 9) == []
        assert await tx.chunks.add(file, [new_chunk(1, "b", vector=made)], meanwhile, NOW)
        assert await tx.chunks.add(file, [new_chunk(2, "c")], MODEL, NOW)
        assert await tx.knowledge.of_other_models(MODEL, 9) == [base.knowledge_id]
        assert not await tx.knowledge.switch(base.knowledge_id, MODEL)
        assert await tx.knowledge.of_other_models(MODEL, 9) == [base.knowledge_id]
        [lacking] = await tx.chunks.without_vector(base.knowledge_id, MODEL, 9)
        await tx.chunks.add_vectors(base.knowledge_id, MODEL, [(lacking.chunk_id, vector())])
        assert await tx.knowledge.switch(base.knowledge_id, MODEL)
        assert await tx.knowledge.of_other_models(MODEL, 9) == []


async def test_an_empty_base_is_switched_at_once(transactions: DatabaseTransactions) -> None:
    owner = await registered(transactions)
    base = await with_base(transactions, owner, model=None)
    async with transactions.autocommit() as tx:
        assert await tx.knowledge.switch(base.knowledge_id, "new")
        assert (await tx.knowledge.get(base.knowledge_id, owner=owner)).model == "new"
        assert not await tx.knowledge.switch(KnowledgeId("none"), "new")
