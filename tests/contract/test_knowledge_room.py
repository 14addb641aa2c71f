"""An account has so many knowledge bases and no more, also when many are made at once."""

import asyncio

import pytest

from adapters.database.transactions import DatabaseTransactions
from application.knowledge import knowledge
from domain.errors import Conflict
from domain.knowledge.knowledge import KnowledgeBase
from knowledge_desk import KnowledgeDesk
from stored import registered

MOST = 4


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(knowledge, "BASES_MAX", MOST)


async def test_of_many_bases_made_at_once_there_are_as_many_as_there_is_room_for(
    transactions: DatabaseTransactions,
) -> None:
    desk = KnowledgeDesk(transactions)
    owner, other = await registered(transactions), await registered(transactions)
    made = await asyncio.gather(*(desk.base(owner, f"Base {n}") for n in range(7)), return_exceptions=True)
    refused = [one for one in made if isinstance(one, Conflict)]
    assert {one.code for one in refused} == {"too_many_knowledge_bases"}
    assert len([one for one in made if isinstance(one, KnowledgeBase)]) == MOST
    await desk.base(other, "Somebody else's")


async def test_who_deletes_one_may_make_another(transactions: DatabaseTransactions) -> None:
    desk = KnowledgeDesk(transactions)
    owner = await registered(transactions)
    bases = [await desk.base(owner, f"Base {n}") for n in range(MOST)]
    with pytest.raises(Conflict):
        await desk.base(owner, "One more")
    await desk.delete(owner, bases[1].knowledge_id)
    await desk.base(owner, "One more")
    async with transactions.autocommit() as tx:
        assert await tx.knowledge.count(owner=owner) == MOST
