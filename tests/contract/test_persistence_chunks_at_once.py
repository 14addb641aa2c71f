"""Chunks that several add, remove and begin anew at once: each once, none left over, and nobody waits in a circle."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Any

from adapters.database.transactions import DatabaseTransactions
from application.ports.persistence import Transaction
from domain.errors import Conflict, DomainError, NotFound
from domain.ids import AgentId, KnowledgeId
from domain.knowledge.knowledge import IngestionStatus, KnowledgeBase, KnowledgeFile
from stored import NOW, agent, registered, seconds
from stored_knowledge import MODEL, knowledge_file, left, new_chunk, with_base, with_file


async def outcome_of(transactions: DatabaseTransactions, call: Callable[[Transaction], Awaitable[Any]]) -> Any:
    async with transactions.autocommit() as tx:
        try:
            return await call(tx)
        except DomainError as refused:
            return refused.code


def adding(file: KnowledgeFile, first: int, number: int) -> Callable[[Transaction], Awaitable[bool]]:
    batch = [new_chunk(at, "a", f"b{at}") for at in range(first, first + number)]
    return lambda tx: tx.chunks.add(file, batch, MODEL, NOW)


async def test_several_who_add_the_same_chunks_store_each_once(transactions: DatabaseTransactions) -> None:
    owner = await registered(transactions)
    base = await with_base(transactions, owner)
    files = [await with_file(transactions, base) for _ in range(2)]
    calls = [adding(file, first, 6) for file in files for first in (0, 3, 0, 6) for _ in range(2)]
    assert all(await asyncio.gather(*(outcome_of(transactions, call) for call in calls)))
    async with transactions.autocommit() as tx:
        for file in files:
            assert (await tx.knowledge_files.get(file.knowledge_file_id, owner=owner)).chunks == 12
    rows = await left(transactions)
    assert rows["chunks"] == rows["chunk_vectors"] == rows["chunk_terms"] == 24
    assert len(await transactions.lexical().search(["a"], [base.knowledge_id], 99)) == 24


async def test_a_base_removed_and_purged_while_it_is_filled_leaves_nothing(transactions: DatabaseTransactions) -> None:
    owner = await registered(transactions)
    base = await with_base(transactions, owner)
    files = [await with_file(transactions, base) for _ in range(4)]

    async def remove_and_purge(tx: Transaction) -> None:
        await asyncio.sleep(0)
        await tx.knowledge.remove(base.knowledge_id, NOW, owner=owner)
        while await tx.chunks.remove_of_base(base.knowledge_id, 5):
            pass
        await tx.knowledge.forget(base.knowledge_id)

    more = [partial(lambda tx, new: tx.knowledge_files.add(new), new=knowledge_file(base)) for _ in range(4)]
    adds = [adding(file, first, 4) for first in range(0, 20, 4) for file in files]
    calls: list[Callable[[Transaction], Awaitable[Any]]] = [
        *adds[:8],
        remove_and_purge,
        remove_and_purge,
        *more,
        *adds[8:],
    ]
    outcomes = await asyncio.gather(*(outcome_of(transactions, call) for call in calls))
    assert {one for one in outcomes if not isinstance(one, KnowledgeFile)} <= {True, False, None, "knowledge_not_found"}
    async with transactions.autocommit() as tx:
        while await tx.chunks.remove_of_base(base.knowledge_id, 5):
            pass
        await tx.knowledge.forget(base.knowledge_id)
        assert await tx.knowledge.removed(9) == []
    assert await left(transactions) == {}


async def test_whoever_begins_a_file_anew_while_its_end_is_recorded_works_alone(
    transactions: DatabaseTransactions,
) -> None:
    owner = await registered(transactions)
    base = await with_base(transactions, owner)
    for _ in range(5):
        file = await with_file(transactions, base)
        failed = replace(file, status=IngestionStatus.FAIL, plan=None)
        records = [lambda tx, one=failed: tx.knowledge_files.record(one)] * 3
        retries = [lambda tx, one=file: tx.knowledge_files.retry(one.knowledge_file_id, seconds(1), owner=owner)] * 3
        outcomes = await asyncio.gather(*(outcome_of(transactions, call) for call in (*records, *retries)))
        assert outcomes[:3].count(True) == 1
        begun = [one for one in outcomes[3:] if isinstance(one, KnowledgeFile)]
        assert len(begun) <= 1
        assert set(outcomes[3:]) - {*begun} <= {"knowledge_file_at_work"}
        async with transactions.autocommit() as tx:
            stored = await tx.knowledge_files.get(file.knowledge_file_id, owner=owner)
        assert stored == (begun[0] if begun else failed)


async def test_of_several_who_purge_each_sees_what_the_others_left(transactions: DatabaseTransactions) -> None:
    owner = await registered(transactions)
    base = await with_base(transactions, owner)
    file = await with_file(transactions, base)
    await outcome_of(transactions, adding(file, 0, 30))
    async with transactions.autocommit() as tx:
        removing = (tx.chunks.remove_of_file(file.knowledge_file_id, 10) for _ in range(6))
        assert sorted(await asyncio.gather(*removing)) == [0, 0, 0, 10, 10, 10]


async def test_a_base_is_not_switched_while_chunks_without_the_vectors_are_being_stored(
    transactions: DatabaseTransactions,
) -> None:
    base = await with_base(transactions, await registered(transactions))
    file = await with_file(transactions, base)

    async def switch(tx: Transaction) -> bool:
        return await tx.knowledge.switch(base.knowledge_id, "new")

    async with transactions.begin() as tx:
        assert await tx.chunks.add(file, [new_chunk(0, "a")], MODEL, NOW)
        task = asyncio.create_task(outcome_of(transactions, switch))
        # Until it waits for this transaction: longer does no harm, shorter shows less.
        await asyncio.wait([task], timeout=0.2)
        assert not task.done()
    assert await task is False


async def test_of_two_who_change_a_base_at_once_neither_undoes_the_other(transactions: DatabaseTransactions) -> None:
    base = await with_base(transactions, await registered(transactions))

    async def change(**fields: str) -> None:
        """As the use case does it."""
        async with transactions.begin() as tx:
            found = await tx.knowledge.get(base.knowledge_id, owner=base.user_id)
            await tx.knowledge.save(replace(found, **fields))

    for number in range(20):
        await asyncio.gather(change(name=f"name {number}"), change(description=f"text {number}"))
        async with transactions.autocommit() as tx:
            found = await tx.knowledge.get(base.knowledge_id, owner=base.user_id)
        assert (found.name, found.description) == (f"name {number}", f"text {number}")


async def test_whoever_removes_vectors_and_whoever_adds_chunks_take_turns(transactions: DatabaseTransactions) -> None:
    base = await with_base(transactions, await registered(transactions))
    file = await with_file(transactions, base)
    await outcome_of(transactions, adding(file, 0, 10))
    calls: list[Callable[[Transaction], Awaitable[Any]]] = [
        lambda tx: tx.chunks.remove_vectors(base.knowledge_id, but="new", limit=2),
        adding(file, 10, 2),
        lambda tx: tx.chunks.remove_of_file(file.knowledge_file_id, 2),
    ]
    outcomes = await asyncio.gather(*(outcome_of(transactions, call) for call in calls * 4))
    assert "unavailable" not in {str(one) for one in outcomes}
    assert all(isinstance(one, int) for one in outcomes)


async def test_no_agent_refers_to_a_base_that_is_removed_while_it_is_linked(
    transactions: DatabaseTransactions,
) -> None:
    owner = await registered(transactions)
    for _ in range(8):
        base = await with_base(transactions, owner)
        names = [base.knowledge_id[-6:] + str(number) for number in range(4)]
        linked = [agent(owner, name) for name in names]
        async with transactions.begin() as tx:
            for one in linked:
                await tx.agents.add(one)
        linking = (link(transactions, one.agent_id, base.knowledge_id, owner) for one in linked)
        removing = outcome_of(transactions, partial(remove, base=base))
        await asyncio.gather(*linking, removing)
        async with transactions.autocommit() as tx:
            for one in linked:
                assert (await tx.agents.get(one.agent_id, owner=owner)).knowledge_ids == ()


async def remove(tx: Transaction, base: KnowledgeBase) -> None:
    await tx.knowledge.remove(base.knowledge_id, NOW, owner=base.user_id)


async def link(transactions: DatabaseTransactions, agent_id: AgentId, base: KnowledgeId, owner: Any) -> None:
    """As the use case does it: the base is looked at, and held, in the transaction that writes the agent."""
    try:
        async with transactions.begin() as tx:
            one = await tx.agents.get(agent_id, owner=owner)
            if await tx.knowledge.these([base], owner=owner):
                await tx.agents.save(replace(one, knowledge_ids=(base,), version=one.version + 1))
    except (Conflict, NotFound):
        pass
