"""Another embedding model: vectors are made beside the old ones, and searched when none is lacking."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.database.transactions import DatabaseTransactions
from adapters.database.vectors.vectors_embedded import EmbeddedVectorIndex
from adapters.scripted import ScriptedEmbedder, ScriptedEmbedders, embedding_failure, vector_of
from application.knowledge import reindexing
from application.knowledge.retrieval import RetrieveKnowledge
from application.ports.job_queue import Again, Job, JobKind
from domain.errors import ModelError, Unavailable
from domain.ids import UserId
from domain.knowledge.embedding_text import embedding_text
from domain.knowledge.knowledge import IngestionStatus, KnowledgeBase, KnowledgeFile
from knowledge_desk import Killed, KnowledgeDesk, Mortal, Watched, text_of
from stored import registered

OLD, NEW = "scripted/words", "scripted/newer"


class Change:
    """A base that was filled by one model, and a process that has another one."""

    def __init__(self, desk: KnowledgeDesk, owner: UserId, base: KnowledgeBase, file: KnowledgeFile) -> None:
        self.desk, self.owner, self.base, self.file = desk, owner, base, file
        self.job = Job(JobKind.REINDEX, base.knowledge_id)

    @classmethod
    async def made(cls, transactions: DatabaseTransactions, **given: Any) -> "Change":
        desk = KnowledgeDesk(transactions, **given)
        owner = await registered(transactions)
        base = await desk.base(owner)
        file = await desk.file(owner, base, text_of(7))
        await desk.run()
        return cls(desk, owner, base, file)

    def newer(self, **given: Any) -> KnowledgeDesk:
        return self.desk.process(**({"embedder": ScriptedEmbedder(name=NEW)} | given))

    async def model(self) -> str | None:
        async with self.desk.transactions.autocommit() as tx:
            return (await tx.knowledge.get(self.base.knowledge_id, owner=self.owner)).model

    async def models(self) -> set[str | None]:
        return {row[6] for row in await self.desk.chunks(self.file)}

    async def assert_changed(self) -> None:
        rows = await self.desk.chunks(self.file)
        assert await self.model() == NEW
        assert [row[0] for row in rows] == list(range((await self.desk.now(self.file)).chunks))
        texts = [embedding_text("notes.txt", (), row[1]) for row in rows]
        assert [row[6:] for row in rows] == [(NEW, vector_of(one, 64, NEW)) for one in texts]


@pytest.fixture
async def change(transactions: DatabaseTransactions) -> Change:
    return await Change.made(transactions)


async def test_all_chunks_get_new_vectors_and_then_lose_the_old_ones(change: Change) -> None:
    newer = change.newer()
    assert await newer.do(change.job) is None
    await change.assert_changed()
    assert len(newer.embedder.texts) == (await newer.now(change.file)).chunks


async def test_a_base_without_vectors_gets_some(transactions: DatabaseTransactions) -> None:
    change = await Change.made(transactions, embedders=ScriptedEmbedders())
    assert await change.models() == {None}
    await change.newer().do(change.job)
    await change.assert_changed()


async def test_until_it_is_complete_the_old_vectors_stay_and_are_searched(change: Change, database_url: str) -> None:
    newer = change.newer(slice_seconds=0.0)
    newer.embedders.known.append(change.desk.embedder)
    index, database = EmbeddedVectorIndex(database_url), change.desk.transactions
    search = RetrieveKnowledge(database, newer.embedders, index, database.lexical(), None, newer.troubles.append)
    slices, chunks = 0, (await change.desk.now(change.file)).chunks
    searched_by = list[str | None]()
    again: Again | None = Again()
    while again is not None:
        [base] = await search.bases(change.owner, [change.base.knowledge_id])
        [found] = await search.rank("no word of it", [base], 50)
        assert (len(found.dense or ()), len(found.lexical), found.lacking) == (chunks, 0, None)
        searched_by.append(base.model)
        if base.model == OLD:
            assert sum(row[6] == OLD for row in await change.desk.chunks(change.file)) == chunks
        again = await newer.do(change.job)
        slices += 1
        assert slices < 20
    await index.aclose()
    assert searched_by.count(OLD) > 2
    assert newer.troubles == []
    assert len([one for one in newer.embedder.texts if one != "no word of it"]) == chunks
    await change.assert_changed()


async def test_what_is_added_meanwhile_has_new_vectors_too(transactions: DatabaseTransactions) -> None:
    for at in range(1, 31, 3):
        change = await Change.made(transactions)
        late: list[KnowledgeFile] = []

        async def add(at: int = at, change: Change = change, late: list[KnowledgeFile] = late) -> None:
            late.append(await change.newer().file(change.owner, change.base, text_of(5, f"late{at}")))
            await change.newer().run()

        await change.newer(database=Watched(transactions, at, add)).do(change.job)
        await change.newer().do(change.job)
        await change.assert_changed()
        [file] = late
        rows = await change.desk.chunks(file)
        assert len(rows) == (await change.desk.now(file)).chunks > 0
        assert {row[6] for row in rows} == {NEW}


@settings(max_examples=5)
@given(deaths=st.lists(st.integers(1, 30), min_size=1, max_size=3))
async def test_killed_anywhere_it_ends_the_same(transactions: DatabaseTransactions, deaths: list[int]) -> None:
    change = await Change.made(transactions)
    for at in deaths:
        try:
            await change.newer(database=Mortal(transactions, at)).do(change.job)
        except Killed:
            continue
    await change.newer().do(change.job)
    await change.assert_changed()


async def test_two_at_once_do_no_harm(change: Change) -> None:
    await asyncio.gather(change.newer().do(change.job), change.newer().do(change.job))
    await change.assert_changed()


async def test_whoever_is_late_takes_nothing_away_that_another_one_searches_by(
    change: Change, transactions: DatabaseTransactions
) -> None:
    """Two settings: one switches the base while the other is about to remove what it takes for old."""
    for at in range(2, 33, 3):
        late = ScriptedEmbedder(name=f"scripted/late{at}")
        other = change.desk.process(embedder=ScriptedEmbedder(name=f"scripted/other{at}"))

        async def switch(other: KnowledgeDesk = other) -> None:
            assert await other.do(change.job) is None

        await change.desk.process(embedder=late, database=Watched(transactions, at, switch)).do(change.job)
        model = await change.model()
        searched = [row for row in await change.desk.chunks(change.file) if row[6] == model]
        assert len(searched) == (await change.desk.now(change.file)).chunks


@pytest.mark.parametrize("trouble", [embedding_failure(), ModelError("model_auth_failed", "No.")])
async def test_what_fails_is_reported_and_tried_for_ever(change: Change, trouble: Exception) -> None:
    newer = change.newer(embedder=ScriptedEmbedder(name=NEW, failures=[trouble] * 12))
    await newer.queue.put(change.job)
    await newer.run()
    assert newer.queue.failures == [trouble] * 12
    await change.assert_changed()


def refusing(*poisoned: str) -> ScriptedEmbedder:
    def refuse(texts: Sequence[str]) -> Exception | None:
        return ModelError("content_refused", "No.") if set(poisoned) & set(texts) else None

    return ScriptedEmbedder(name=NEW, refuse=refuse)


async def until_done(desk: KnowledgeDesk, job: Job) -> None:
    while await desk.do(job) is not None:
        assert len(desk.embedder.calls) < 200


@pytest.mark.parametrize("at", [0, 5, -1])
@pytest.mark.parametrize("slice_seconds", [0.0, 60.0])
async def test_a_chunk_that_is_refused_keeps_no_other_from_its_vector(
    change: Change, at: int, slice_seconds: float
) -> None:
    rows = await change.desk.chunks(change.file)
    poisoned = embedding_text("notes.txt", (), rows[at][1])
    newer = change.newer(embedder=refusing(poisoned, poisoned[: len(poisoned) // 2]), slice_seconds=slice_seconds)
    with pytest.raises(ModelError):
        await until_done(newer, change.job)
    made = [row[0] for row in await change.desk.chunks(change.file) if row[6] == NEW]
    assert made == [row[0] for row in rows if row[0] != rows[at][0]]
    assert await change.model() == OLD
    await change.newer().do(change.job)
    await change.assert_changed()


async def test_a_chunk_that_is_refused_whole_is_found_by_its_first_half(change: Change) -> None:
    rows = await change.desk.chunks(change.file)
    poisoned = embedding_text("notes.txt", (), rows[5][1])
    assert await change.newer(embedder=refusing(poisoned)).do(change.job) is None
    changed = await change.desk.chunks(change.file)
    assert await change.model() == NEW
    assert [row[0] for row in changed] == [row[0] for row in rows]
    assert changed[5][7] == vector_of(poisoned[: len(poisoned) // 2], 64, NEW)


async def test_a_model_that_refuses_everything_is_not_asked_about_everything(
    change: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reindexing, "MOST_REFUSED", 3)
    newer = change.newer(embedder=ScriptedEmbedder(name=NEW, refuse=lambda _: ModelError("content_refused", "No.")))
    with pytest.raises(ModelError):
        await newer.do(change.job)
    assert len(newer.embedder.calls) <= 11


async def test_a_model_that_is_away_is_waited_for_and_none_is_no_work(change: Change) -> None:
    away = change.newer()
    away.embedders.away.add(NEW)
    with pytest.raises(Unavailable):
        await away.do(change.job)
    assert await change.newer(embedders=ScriptedEmbedders()).do(change.job) is None
    assert await change.models() == {OLD}


@pytest.mark.parametrize("what", ["file", "base"])
async def test_removed_at_any_point_nothing_is_left(transactions: DatabaseTransactions, what: str) -> None:
    for at in range(1, 12, 3):
        change = await Change.made(transactions)

        async def remove(change: Change = change) -> None:
            if what == "base":
                await change.desk.delete(change.owner, change.base.knowledge_id)
            else:
                await change.desk.delete_file(change.owner, change.file.knowledge_file_id)
            await change.desk.run()

        assert await change.newer(database=Watched(transactions, at, remove)).do(change.job) is None
        assert await change.desk.chunks(change.file) == []
        counts = await change.desk.counts()
        assert (counts["chunks"], counts["chunk_vectors"], counts["chunk_terms"]) == (0, 0, 0)


async def test_many_old_vectors_go_in_portions(change: Change, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reindexing, "REMOVED_AT_ONCE", 3)
    await change.newer().do(change.job)
    await change.assert_changed()
    assert (await change.desk.now(change.file)).status is IngestionStatus.SUCCESS
