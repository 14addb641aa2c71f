"""On SQLite statements run on the event loop: none about knowledge is long, whatever the texts and however many."""

import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text

from adapters.database import schema
from adapters.database.knowledge import chunks as chunk_rows
from adapters.database.knowledge.chunk_statements import MOST_REMOVED
from adapters.database.transactions import DatabaseTransactions
from application.knowledge import ingestion_steps
from application.knowledge.chunk_portions import TERMS_AT_ONCE, portions
from application.knowledge.ingestion_steps import REMOVED_AT_ONCE
from domain.ids import ChunkId
from domain.knowledge.chunking import ChunkSize
from knowledge_desk import KnowledgeDesk
from sqlite_steps import Steps
from stored import NOW, registered
from stored_knowledge import MODEL, left, new_chunk, vector, with_base, with_chunks, with_file

CHINESE = "\n\n".join("".join(chr(0x4E00 + (7 * line + 13 * at) % 3000) for at in range(120)) for line in range(200))


@pytest.fixture
async def on_sqlite(tmp_path: Path) -> AsyncIterator[DatabaseTransactions]:
    url = f"sqlite:///{tmp_path}/knowledge.db"
    await schema.migrate(url)
    opened = DatabaseTransactions.open(url)
    yield opened
    await opened.aclose()


@pytest.fixture
def stored_terms(on_sqlite: DatabaseTransactions) -> Iterator[list[int]]:
    """How many each statement stored."""
    found: list[int] = []

    def note(_c: object, _cursor: object, statement: str, parameters: Any, _context: object, many: bool) -> None:
        if statement.startswith("INSERT INTO chunk_terms"):
            found.append(sum(row[2].count(" ") for row in (parameters if many else [parameters])))

    event.listen(on_sqlite.database.writer, "before_cursor_execute", note)
    yield found
    event.remove(on_sqlite.database.writer, "before_cursor_execute", note)


async def test_no_statement_stores_more_terms_than_one_may(
    on_sqlite: DatabaseTransactions, stored_terms: list[int]
) -> None:
    desk = KnowledgeDesk(on_sqlite, size=ChunkSize(300, 40))
    owner = await registered(on_sqlite)
    file = await desk.file(owner, await desk.base(owner), CHINESE)
    await desk.run()
    stored = await desk.now(file)
    assert (stored.chunks, stored.total) == (stored.total, stored.chunks)
    assert sum(stored_terms) > 3 * TERMS_AT_ONCE
    assert max(stored_terms) <= TERMS_AT_ONCE


@pytest.mark.parametrize("most", [0, 40, TERMS_AT_ONCE])
async def test_portions_change_nothing_of_what_is_stored(
    transactions: DatabaseTransactions, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(ingestion_steps, "portions", partial(portions, most=most))
    desk = KnowledgeDesk(transactions)
    owner = await registered(transactions)
    file = await desk.file(owner, await desk.base(owner), CHINESE[:500])
    await desk.run()
    stored = await desk.now(file)

    def ordinals() -> list[int]:
        with transactions.database.writer.connect() as connection:
            return list(connection.execute(text("SELECT ordinal FROM chunks ORDER BY chunk_id")).scalars())

    assert stored.chunks > 9
    assert await transactions.database.run(ordinals) == list(range(stored.chunks))


class Noticed(Sequence[str]):
    """Terms that notice in which thread they are read."""

    def __init__(self, *terms: str) -> None:
        self.terms, self.threads = terms, set[str]()

    def __getitem__(self, at: Any) -> Any:
        self.threads.add(threading.current_thread().name)
        return self.terms[at]

    def __len__(self) -> int:
        return len(self.terms)


async def test_terms_are_counted_off_the_event_loop(transactions: DatabaseTransactions) -> None:
    owner = await registered(transactions)
    base = await with_base(transactions, owner)
    file, terms = await with_file(transactions, base), Noticed("a", "b")
    async with transactions.autocommit() as tx:
        assert await tx.chunks.add(file, [new_chunk(0, terms=terms)], MODEL, NOW)
    assert terms.threads
    assert threading.current_thread().name not in terms.threads
    assert len(await transactions.lexical().search(["a"], [base.knowledge_id], 5)) == 1


@pytest.mark.parametrize("of_file", [True, False])
@pytest.mark.parametrize(("size", "first"), [(1, 30), (MOST_REMOVED // 3, 3), (MOST_REMOVED // 3 + 1, 3), (50_000, 1)])
async def test_a_portion_of_a_removal_has_so_many_characters_and_at_least_one_chunk(
    transactions: DatabaseTransactions, size: int, first: int, of_file: bool
) -> None:
    owner = await registered(transactions)
    base = await with_base(transactions, owner)
    file, removed = await with_file(transactions, base), list[int]()
    new = [new_chunk(at, "a", content="x" * size) for at in range(32)]
    async with transactions.autocommit() as tx:
        assert await tx.chunks.add(file, new, MODEL, NOW)
        while count := (
            await tx.chunks.remove_of_file(file.knowledge_file_id, REMOVED_AT_ONCE)
            if of_file
            else await tx.chunks.remove_of_base(base.knowledge_id, REMOVED_AT_ONCE)
        ):
            removed.append(count)
    assert (removed[0], sum(removed)) == (first, 32)
    assert not {"chunks", "chunk_terms", "chunk_vectors"} & set(await left(transactions))


@pytest.mark.parametrize("window", [1, 3, 1000])
async def test_chunks_without_a_vector_are_found_window_by_window(
    transactions: DatabaseTransactions, monkeypatch: pytest.MonkeyPatch, window: int
) -> None:
    monkeypatch.setattr(chunk_rows, "LOOKED_THROUGH", window)
    owner = await registered(transactions)
    base, other = await with_base(transactions, owner), await with_base(transactions, owner)
    for one in (base, other, base):
        await with_chunks(transactions, one, [["a"]] * 7)
    async with transactions.autocommit() as tx:
        everything = [one.chunk_id for one in await tx.chunks.without_vector(base.knowledge_id, "new", 99)]
        assert len(everything) == 14
        await tx.chunks.add_vectors(base.knowledge_id, "new", [(one, vector()) for one in everything[1:13:2]])
        lacking = [one for one in everything if one not in everything[1:13:2]]
        for limit in (1, 2, 5, 99):
            for after in (None, *everything):
                found = await tx.chunks.without_vector(base.knowledge_id, "new", limit, after)
                assert [one.chunk_id for one in found] == [one for one in lacking if one > (after or 0)][:limit]


async def test_no_look_at_a_large_base_is_one_long_statement(
    on_sqlite: DatabaseTransactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunk_rows, "LOOKED_THROUGH", 50)
    base = await with_base(on_sqlite, await registered(on_sqlite))
    await with_chunks(on_sqlite, base, [["a"]] * 2000)
    steps = Steps(on_sqlite)
    async with on_sqlite.autocommit() as tx:
        assert await tx.chunks.without_vector(base.knowledge_id, MODEL, 10) == []
        assert 0 < steps.longest < 50 * 40
        assert steps.count > 2000
        # Vectors of two other models, by name before and behind the one that stays.
        await tx.chunks.add_vectors(base.knowledge_id, "a", [(ChunkId(one), vector()) for one in (1, 2)])
        await tx.chunks.add_vectors(base.knowledge_id, "z", [(ChunkId(one), vector()) for one in (3, 4)])
        steps.longest = 0
        assert await tx.chunks.remove_vectors(base.knowledge_id, but=MODEL, limit=3) == 3
        assert await tx.chunks.remove_vectors(base.knowledge_id, but=MODEL, limit=3) == 1
        assert await tx.chunks.remove_vectors(base.knowledge_id, but=MODEL, limit=3) == 0
        assert 0 < steps.longest < 1000
    assert (await left(on_sqlite))["chunk_vectors"] == 2000
