"""Another place for the vectors of a filled database: it is filled by itself, and nothing is lost on the way."""

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from adapters.database.transactions import DatabaseTransactions
from adapters.database.vectors.pgvector_index import PgVectorIndex
from adapters.database.vectors.pgvector_table import ensure_pgvector
from adapters.database.vectors.vector_place import VectorKind, keep_vectors
from adapters.database.vectors.vectors_embedded import EmbeddedVectorIndex
from adapters.scripted import ScriptedEmbedder
from application.knowledge.rankings import IN_PART
from application.knowledge.reindexing import LEFT_TO_OTHERS
from application.knowledge.retrieval import RetrieveKnowledge
from application.ports.job_queue import Job, JobKind
from domain.errors import Unavailable
from domain.ids import UserId
from domain.knowledge.knowledge import KnowledgeBase, KnowledgeFile
from entrypoints.graph.knowledge import OpenIndex
from entrypoints.schema_ready import await_database
from entrypoints.settings.loading import load_settings
from knowledge_desk import KnowledgeDesk, text_of
from live.live_server import SECRETS
from stored import registered

EMBEDDED: VectorKind = "embedded"
PGVECTOR: VectorKind = "pgvector"
PATIENCE = 15
QUESTION = "which mill is turned by the wind"
MARKED = text("SELECT knowledge_id FROM knowledge_bases WHERE incomplete")
_numbers = itertools.count()


@dataclass
class Place:
    """A process with one [vector] kind."""

    kind: VectorKind
    transactions: DatabaseTransactions
    desk: KnowledgeDesk
    index: OpenIndex

    async def hits(self, owner: UserId, base: KnowledgeBase) -> tuple[int | None, str | None]:
        """Of vectors alone."""
        troubles = list[Exception]()
        search = RetrieveKnowledge(
            self.transactions, self.desk.embedders, self.index, self.transactions.lexical(), None, troubles.append
        )
        bases = await search.bases(owner, [base.knowledge_id])
        [found] = await search.rank(QUESTION, bases, 50)
        assert troubles == []
        return None if found.dense is None else len(found.dense), found.lacking

    async def marked(self) -> set[str]:
        def look() -> set[str]:
            with self.transactions.database.reader.connect() as connection:
                return {row[0] for row in connection.execute(MARKED)}

        return await self.transactions.database.run(look)

    async def turn(self) -> None:
        """A minute of upkeep and work. Jobs that it leaves to others lie there."""
        await self.desk.keep.once()
        for _ in range(len(self.desk.queue.waiting_jobs)):
            job = self.desk.queue.take()
            again = await self.desk.do(job)
            if again is not None:
                await self.desk.queue.put_again(job, again)


class Places:
    """Processes that start one after another on one database. All see the same clock, uploads and queue."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.opened: dict[VectorKind, Place] = {}

    async def start(self, kind: VectorKind) -> Place:
        if kind == PGVECTOR:
            await ensure_pgvector(self.url, ScriptedEmbedder().model)
        await keep_vectors(self.url, kind)
        return self.running(kind)

    def running(self, kind: VectorKind) -> Place:
        if kind not in self.opened:
            transactions = DatabaseTransactions.open(self.url, pool_size=2, vectors=kind)
            first = next(iter(self.opened.values()), None)
            shared = {name: getattr(first.desk, name) for name in ("clock", "storage", "queue")} if first else {}
            index: OpenIndex = PgVectorIndex(self.url) if kind == PGVECTOR else EmbeddedVectorIndex(self.url)
            self.opened[kind] = Place(kind, transactions, KnowledgeDesk(transactions, **shared), index)
        return self.opened[kind]

    async def aclose(self) -> None:
        for one in self.opened.values():
            await one.index.aclose()
            await one.transactions.aclose()


@pytest.fixture
async def places(postgres_url: str) -> AsyncIterator[Places]:
    made = Places(postgres_url)
    yield made
    await made.aclose()


async def filled(place: Place, paragraphs: int = 5) -> tuple[UserId, KnowledgeBase, KnowledgeFile]:
    owner = await registered(place.transactions, f"owner{next(_numbers)}")
    base = await place.desk.base(owner)
    file = await place.desk.file(owner, base, text_of(paragraphs))
    await place.desk.run()
    return owner, base, await place.desk.now(file)


async def test_another_kind_finds_by_vectors_again_after_a_turn_of_upkeep(places: Places) -> None:
    before = await places.start(EMBEDDED)
    owner, base, file = await filled(before)
    assert await before.hits(owner, base) == (file.chunks, None)
    for kind in (PGVECTOR, EMBEDDED, PGVECTOR):
        place = await places.start(kind)
        # Until then its answers say what they lack, also where some vectors are there already.
        assert (await place.hits(owner, base))[1] == IN_PART
        await place.turn()
        assert await place.hits(owner, base) == (file.chunks, None)
        assert not await place.marked()
    # What lay in the first table was still there: going back costs nothing.
    made = [[text for text in one.desk.embedder.texts if text != QUESTION] for one in places.opened.values()]
    assert [len(texts) for texts in made] == [file.chunks] * 2


async def test_the_same_kind_started_again_makes_nothing_anew(places: Places) -> None:
    place = await places.start(EMBEDDED)
    await filled(place)
    assert await keep_vectors(places.url, EMBEDDED) == 0
    assert not await place.marked()


async def test_a_database_that_remembers_no_place_is_looked_through_once(places: Places) -> None:
    owner, base, file = await filled(places.running(EMBEDDED))
    place = await places.start(PGVECTOR)
    await place.turn()
    assert await place.hits(owner, base) == (file.chunks, None)


async def test_who_started_before_takes_no_base_for_filled_and_says_that_it_differs(places: Places) -> None:
    older = await places.start(EMBEDDED)
    owner, base, file = await filled(older)
    newer = await places.start(PGVECTOR)
    made = len(older.desk.embedder.texts)
    with pytest.raises(Unavailable, match=r"another \[vector\] kind"):
        await older.desk.keep.once()
    assert await older.desk.do(Job(JobKind.REINDEX, base.knowledge_id)) == LEFT_TO_OTHERS
    assert len(older.desk.embedder.texts) == made
    # Nor does one that was in the midst of it: all its chunks have vectors, but in the place of before.
    async with older.transactions.autocommit() as tx:
        assert not await tx.knowledge.switch(base.knowledge_id, older.desk.embedder.name)
    # Also what it stores meanwhile is found when the newer one has had its turn.
    late = await older.desk.file(owner, base, text_of(4, "late"))
    await older.desk.do(older.desk.queue.take())
    await newer.turn()
    assert await newer.hits(owner, base) == (file.chunks + (await newer.desk.now(late)).chunks, None)


async def test_what_is_stored_behind_a_switch_by_an_older_process_is_filled_too(places: Places) -> None:
    older = await places.start(EMBEDDED)
    owner, base, file = await filled(older)
    newer = await places.start(PGVECTOR)
    await newer.turn()
    late = await older.desk.file(owner, base, text_of(4, "late"))
    await older.desk.run()
    assert await newer.marked() == {base.knowledge_id}
    await newer.turn()
    assert await newer.hits(owner, base) == (file.chunks + (await newer.desk.now(late)).chunks, None)


@settings(max_examples=12)
@given(steps=st.lists(st.tuples(st.sampled_from(["start", "turn", "file"]), st.sampled_from([EMBEDDED, PGVECTOR]))))
async def test_however_they_start_and_work_the_last_to_start_finds_everything(
    places: Places, steps: list[tuple[str, VectorKind]]
) -> None:
    place = await places.start(EMBEDDED)
    await places.start(PGVECTOR)
    owner, base, file = await filled(place, 2)
    files = [file]
    for number, (act, kind) in enumerate([*steps, ("start", PGVECTOR)]):
        one = places.running(kind)
        if act == "start":
            await places.start(kind)
        elif act == "turn":
            with suppress(Unavailable):
                await one.turn()
        else:
            files.append(await one.desk.file(owner, base, text_of(2, f"seed{number}")))
    last = places.running(PGVECTOR)
    await last.turn()
    await last.turn()
    chunks = sum([(await last.desk.now(one)).chunks for one in files])
    assert await last.hits(owner, base) == (chunks, None)
    assert not await last.marked()


async def test_many_that_start_at_once_agree(places: Places) -> None:
    place = await places.start(EMBEDDED)
    owner, base, file = await filled(place)
    await ensure_pgvector(places.url, place.desk.embedder.model)
    kinds = [PGVECTOR, EMBEDDED] * 3 + [PGVECTOR] * 2
    await asyncio.gather(*(keep_vectors(places.url, kind) for kind in kinds))
    both = [await places.start(EMBEDDED), await places.start(PGVECTOR)]
    async with both[0].transactions.autocommit() as tx:
        assert await tx.knowledge.vectors_elsewhere()
    await both[1].turn()
    assert await both[1].hits(owner, base) == (file.chunks, None)


async def test_a_start_remembers_the_kind_and_says_how_many_bases_are_to_be_filled(
    places: Places, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place = await places.start(EMBEDDED)
    _, base, _ = await filled(place)
    for kind, told in ((EMBEDDED, []), (PGVECTOR, [("pgvector", 1)]), (PGVECTOR, [])):
        given = {"DATABASE_URL": places.url, "DATA_DIR": str(tmp_path), "VECTOR__KIND": kind, "SECRET_KEYS": SECRETS}
        chosen = load_settings({f"AGENTCHAT_{name}": value for name, value in given.items()}, tmp_path)
        caplog.clear()
        with caplog.at_level(logging.WARNING, logger="agentchat.knowledge"):
            assert await asyncio.wait_for(await_database(chosen, asyncio.Event()), PATIENCE)
        lines = [one for one in caplog.records if one.message == "vectors_to_be_made_anew"]
        assert [(one.vector_kind, one.bases) for one in lines] == told  # type: ignore[attr-defined]
    assert await place.marked() == {base.knowledge_id}
