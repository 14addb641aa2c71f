"""Work on files lets others go on: between portions, between batches, and after its slice of time."""

from typing import cast

import pytest

from adapters.database.transactions import DatabaseTransactions
from application import ingestion_steps
from application.ingestion_steps import emptied
from application.ports.persistence import Transactions
from knowledge_desk import KnowledgeDesk, text_of, turns
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
