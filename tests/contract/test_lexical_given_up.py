"""A search by words that nobody waits for any more ends at once, in SQLite too: its thread is for others."""

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from adapters.database.lexical import lexical_on_sqlite
from adapters.database.lexical.lexical_on_sqlite import SqliteLexicalIndex
from domain.ids import ChunkId, KnowledgeId
from domain.knowledge.retrieval import Hit

BASES = [KnowledgeId("k")]
COUNTS_FOR_SECONDS = text(
    "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 300000000 AND :query LIKE '%slow%') "
    "SELECT count(*), 1.0 FROM n LIMIT min(:most, :row_limit)"
)


@pytest.fixture
async def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SqliteLexicalIndex]:
    monkeypatch.setattr(lexical_on_sqlite, "_BEST", COUNTS_FOR_SECONDS)
    monkeypatch.setattr(lexical_on_sqlite, "_rarest", lambda _, wanted, *rest: wanted)
    made = SqliteLexicalIndex(tmp_path / "a.db")
    yield made
    await made.aclose()


async def fast(index: SqliteLexicalIndex) -> list[Hit]:
    return list(await index.search(["fast"], BASES, 5))


async def test_a_search_that_is_given_up_leaves_its_thread_to_the_next_one(index: SqliteLexicalIndex) -> None:
    for pause in (0.0, 0.001, 0.01, 0.05):
        slow = [asyncio.create_task(index.search(["slow"], BASES, 5)) for _ in range(6)]
        await asyncio.sleep(pause)
        for task in slow:
            task.cancel()
        async with asyncio.timeout(20):
            assert await asyncio.gather(*(fast(index) for _ in range(4))) == [[Hit(ChunkId(1), 1.0)]] * 4
        assert all(task.cancelled() for task in slow)


async def test_who_gives_up_interrupts_nobody_else(index: SqliteLexicalIndex) -> None:
    """However near to its end a search is given up, the next one on its thread goes on."""
    for _ in range(150):
        given_up = [asyncio.create_task(fast(index)) for _ in range(3)]
        kept = [asyncio.create_task(fast(index)) for _ in range(3)]
        await asyncio.sleep(0)
        for task in given_up:
            task.cancel()
        assert await asyncio.gather(*kept) == [[Hit(ChunkId(1), 1.0)]] * 3


async def test_a_search_that_is_given_up_between_two_statements_asks_no_more(
    index: SqliteLexicalIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached, go_on = threading.Event(), threading.Event()
    ended: list[str] = []

    def held(connection: Any, wanted: Any, scopes: Any, running: Any) -> Any:
        reached.set()
        go_on.wait(10)
        try:
            running.go_on()
        except BaseException:
            ended.append("given up")
            raise
        return wanted

    monkeypatch.setattr(lexical_on_sqlite, "_rarest", held)
    task = asyncio.create_task(fast(index))
    await asyncio.to_thread(reached.wait, 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    go_on.set()
    await index.aclose()
    assert ended == ["given up"]
