"""Knowledge bases and their files as the database knows them: whose they are, what is in them, and how they go."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.database.knowledge import knowledge_files as knowledge_file_rows
from adapters.database.transactions import DatabaseTransactions
from application.paging import Position, Window
from application.ports.persistence import Transaction
from domain.errors import Conflict, NotFound, Unauthenticated
from domain.ids import KnowledgeFileId, KnowledgeId, UserId
from domain.knowledge.knowledge import IngestionError, IngestionStatus, KnowledgeDraft, KnowledgeFile, Stage
from stored import NOBODY, NOW, agent, registered, seconds
from stored_knowledge import (
    MODEL,
    counters,
    knowledge,
    knowledge_file,
    left,
    new_chunk,
    with_base,
    with_chunks,
    with_file,
)


@settings(max_examples=20)
@given(
    name=st.text(st.characters(categories=["L", "N", "S"]), min_size=1, max_size=60),
    description=st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=200),
    model=st.none() | st.text(st.characters(exclude_categories=["Cs", "Cc"])),
)
async def test_a_base_comes_back_as_stored(
    transactions: DatabaseTransactions, name: str, description: str, model: str | None
) -> None:
    owner = await registered(transactions)
    base = await with_base(transactions, owner, name=name, description=description, model=model)
    async with transactions.autocommit() as tx:
        assert await tx.knowledge.get(base.knowledge_id, owner=owner) == base
        assert await tx.knowledge.list(Window(), owner=owner) == [base]
        assert await tx.knowledge.these([base.knowledge_id, base.knowledge_id], owner=owner) == [base]


CALLS: list[Callable[[Transaction, KnowledgeId, KnowledgeFileId, UserId], Awaitable[Any]]] = [
    lambda tx, base, _file, who: tx.knowledge.get(base, owner=who),
    lambda tx, base, _file, who: tx.knowledge.save(replace(knowledge(who), knowledge_id=base)),
    lambda tx, base, _file, who: tx.knowledge.remove(base, NOW, owner=who),
    lambda tx, base, _file, who: tx.knowledge_files.add(knowledge_file(replace(knowledge(who), knowledge_id=base))),
    lambda tx, base, _file, who: tx.knowledge_files.list(base, Window(), owner=who),
    lambda tx, _base, file, who: tx.knowledge_files.get(file, owner=who),
    lambda tx, _base, file, who: tx.knowledge_files.remove(file, NOW, owner=who),
    lambda tx, _base, file, who: tx.knowledge_files.retry(file, NOW, owner=who),
]


@pytest.mark.parametrize("number", range(len(CALLS)))
async def test_what_is_anothers_is_not_found_and_stays_as_it_is(
    transactions: DatabaseTransactions, number: int
) -> None:
    owner, other = await registered(transactions), await registered(transactions)
    base = await with_base(transactions, owner)
    file = await with_chunks(transactions, base, [["a"]])
    for open_unit in (transactions.autocommit, transactions.begin):
        for who, refusal in ((other, NotFound), (NOBODY, Unauthenticated)):
            with pytest.raises(refusal):
                async with open_unit() as tx:
                    await CALLS[number](tx, base.knowledge_id, file.knowledge_file_id, who)
    async with transactions.autocommit() as tx:
        assert await tx.knowledge.get(base.knowledge_id, owner=owner) == replace(base, files=1, size=file.size)
        assert await tx.knowledge_files.list(base.knowledge_id, Window(), owner=owner) == [replace(file, chunks=1)]
        assert await tx.knowledge.list(Window(), owner=other) == []
        assert await tx.knowledge.these([base.knowledge_id], owner=other) == []
        assert await tx.knowledge_files.unfinished(owner=other) == 0
        [hit] = await transactions.lexical().search(["a"], [base.knowledge_id], 9)
        assert await tx.chunks.shown([hit.chunk_id], owner=other) == []
        assert len(await tx.chunks.shown([hit.chunk_id], owner=owner)) == 1


async def test_lists_of_an_account_that_is_gone_are_refused(transactions: DatabaseTransactions) -> None:
    base = knowledge(NOBODY)
    async with transactions.autocommit() as tx:
        for refused in (
            tx.knowledge.list(Window(), owner=NOBODY),
            tx.knowledge.count(owner=NOBODY),
            tx.knowledge.these([base.knowledge_id], owner=NOBODY),
            tx.knowledge.add(base),
            tx.knowledge_files.unfinished(owner=NOBODY),
            tx.chunks.shown([], owner=NOBODY),
        ):
            with pytest.raises(Unauthenticated):
                await refused


async def test_a_name_is_taken_once_by_each_owner_whatever_its_case(transactions: DatabaseTransactions) -> None:
    owner, other = await registered(transactions), await registered(transactions)
    base = await with_base(transactions, owner, name="Straße")
    second = await with_base(transactions, owner, name="Second")
    for name in ("Straße", "STRASSE"):
        async with transactions.autocommit() as tx:
            with pytest.raises(Conflict) as refused:
                await tx.knowledge.add(knowledge(owner, name))
            assert refused.value.code == "knowledge_name_taken"
            with pytest.raises(Conflict):
                await tx.knowledge.save(second.change(KnowledgeDraft(name), NOW))
            await tx.knowledge.save(base.change(KnowledgeDraft(name), NOW))
    await with_base(transactions, other, name="strasse")
    async with transactions.autocommit() as tx:
        await tx.knowledge.remove(base.knowledge_id, NOW, owner=owner)
    assert (await with_base(transactions, owner, name="STRASSE")).name == "STRASSE"


async def test_lists_count_files_in_one_statement_and_go_on_where_they_ended(
    transactions: DatabaseTransactions, statements: list[str]
) -> None:
    owner = await registered(transactions)
    bases = [await with_base(transactions, owner, created_at=seconds(at // 2)) for at in range(5)]
    files = [await with_file(transactions, bases[0], size=2**40, created_at=seconds(at // 2)) for at in range(5)]
    async with transactions.autocommit() as tx:
        await tx.knowledge_files.remove(files[0].knowledge_file_id, NOW, owner=owner)
        statements.clear()
        found = await tx.knowledge.list(Window(), owner=owner)
        assert len(statements) == 1
        newest = sorted(bases, key=lambda one: (one.created_at, one.knowledge_id), reverse=True)
        assert found == [replace(one, files=4, size=2**42) if one == bases[0] else one for one in newest]
        after = Window(2, Position(found[1].created_at, found[1].knowledge_id))
        assert await tx.knowledge.list(after, owner=owner) == found[2 : 2 + (after.fetch or 0)]
        statements.clear()
        shown = await tx.knowledge_files.list(bases[0].knowledge_id, Window(), owner=owner)
        assert len(statements) == 1
        assert shown == sorted(files[1:], key=lambda one: (one.created_at, one.knowledge_file_id), reverse=True)
        behind = Window(1, Position(shown[0].created_at, shown[0].knowledge_file_id))
        rest = await tx.knowledge_files.list(bases[0].knowledge_id, behind, owner=owner)
        assert rest == shown[1 : 1 + (behind.fetch or 0)]
        assert await tx.knowledge_files.list(bases[1].knowledge_id, Window(), owner=owner) == []


async def test_a_base_that_is_full_takes_no_file_until_one_is_removed(
    transactions: DatabaseTransactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(knowledge_file_rows, "MOST_FILES", 2)
    owner = await registered(transactions)
    base = await with_base(transactions, owner)
    first, _ = [await with_file(transactions, base) for _ in range(2)]
    with pytest.raises(Conflict) as refused:
        await with_file(transactions, base)
    assert refused.value.code == "knowledge_full"
    async with transactions.autocommit() as tx:
        await tx.knowledge_files.remove(first.knowledge_file_id, NOW, owner=owner)
    await with_file(transactions, base)


async def test_a_removed_base_is_in_no_agent_and_its_files_are_found_by_nobody(
    transactions: DatabaseTransactions,
) -> None:
    owner, other = await registered(transactions), await registered(transactions)
    gone, stays = await with_base(transactions, owner), await with_base(transactions, owner)
    file = await with_chunks(transactions, gone, [["a"], ["b"]])
    links = (stays.knowledge_id, gone.knowledge_id)
    mine, theirs = agent(owner, knowledge_ids=links), agent(other, knowledge_ids=links)
    untouched = agent(owner, "Bob", knowledge_ids=links[:1])
    async with transactions.begin() as tx:
        for one in (mine, theirs, untouched):
            await tx.agents.add(one)
        await tx.knowledge.remove(gone.knowledge_id, seconds(1), owner=owner)
    async with transactions.autocommit() as tx:
        left_over = replace(mine, knowledge_ids=links[:1], version=2, updated_at=seconds(1))
        assert await tx.agents.get(mine.agent_id, owner=owner) == left_over
        assert await tx.agents.get(theirs.agent_id, owner=other) == theirs
        assert await tx.agents.get(untouched.agent_id, owner=owner) == untouched
        with pytest.raises(Conflict):
            await tx.agents.save(replace(mine, version=2))
        assert await tx.knowledge_files.at_work(file.knowledge_file_id) is None
        assert await tx.knowledge_files.waiting(seconds(99), 9) == []
        assert await tx.knowledge_files.unfinished(owner=owner) == 0
        assert not await tx.knowledge_files.record(file)
        assert not await tx.chunks.add(file, [new_chunk(7)], MODEL, NOW)
        hits = await transactions.lexical().search(["a"], [gone.knowledge_id], 9)
        assert await tx.chunks.shown([hit.chunk_id for hit in hits], owner=owner) == []
        assert not await tx.knowledge.switch(gone.knowledge_id, "other")
        assert await tx.knowledge.of_other_models("other", 9) == [stays.knowledge_id]
        with pytest.raises(NotFound):
            await tx.knowledge.remove(gone.knowledge_id, NOW, owner=owner)
        with pytest.raises(NotFound):
            await tx.knowledge_files.remove(file.knowledge_file_id, NOW, owner=owner)
        assert await tx.knowledge.removed(9) == [gone.knowledge_id]
        assert await tx.knowledge_files.removed(9) == [file.knowledge_file_id]


@pytest.mark.parametrize("how", ["base", "file", "account"])
async def test_what_is_removed_leaves_nothing_behind(transactions: DatabaseTransactions, how: str) -> None:
    owner, other = await registered(transactions), await registered(transactions)
    gone, stays = await with_base(transactions, owner), await with_base(transactions, other)
    file = await with_chunks(transactions, gone, [["a", "b"]] * 5)
    await with_chunks(transactions, stays, [["a", "b"]] * 2)
    expected = {"knowledge_bases": 1, "knowledge_files": 1, "chunks": 2, "chunk_vectors": 2, "chunk_terms": 2}
    async with transactions.autocommit() as tx:
        assert not await tx.knowledge.forget(gone.knowledge_id)
        assert not await tx.knowledge_files.forget(file.knowledge_file_id)
        if how == "base":
            await tx.knowledge.remove(gone.knowledge_id, NOW, owner=owner)
        elif how == "file":
            await tx.knowledge_files.remove(file.knowledge_file_id, NOW, owner=owner)
            expected["knowledge_bases"] = 2
        else:
            await tx.users.remove(owner)
        assert await tx.knowledge_files.removed(9) == [file.knowledge_file_id]
        assert await tx.knowledge.removed(9) == ([] if how == "file" else [gone.knowledge_id])
        before = await counters(transactions, gone)
        for portion in (2, 2, 1, 0):
            if portion:
                assert not await tx.knowledge.forget(gone.knowledge_id)
                assert not await tx.knowledge_files.forget(file.knowledge_file_id)
            if how == "file":
                assert await tx.chunks.remove_of_file(file.knowledge_file_id, 2) == portion
            else:
                assert await tx.chunks.remove_of_base(gone.knowledge_id, 2) == portion
        assert await counters(transactions, gone) == (before[0], before[1] + 3)
        if how == "file":
            assert await tx.knowledge_files.forget(file.knowledge_file_id)
        else:
            assert await tx.knowledge.forget(gone.knowledge_id)
        assert await tx.knowledge_files.removed(9) == []
        assert await tx.knowledge.removed(9) == []
        assert [hit.score > 0 for hit in await transactions.lexical().search(["a"], [stays.knowledge_id], 9)] == [
            True,
            True,
        ]
    assert await left(transactions) == expected


async def begin_anew(transactions: DatabaseTransactions, file: KnowledgeFile, at: datetime) -> KnowledgeFile:
    async with transactions.autocommit() as tx:
        return await tx.knowledge_files.retry(file.knowledge_file_id, at, owner=file.user_id)


async def test_only_what_has_ended_begins_anew_and_work_of_before_changes_nothing(
    transactions: DatabaseTransactions,
) -> None:
    owner = await registered(transactions)
    file = await with_file(transactions, await with_base(transactions, owner), attempts=3)
    with pytest.raises(Conflict) as refused:
        await begin_anew(transactions, file, seconds(1))
    assert refused.value.code == "knowledge_file_at_work"
    failed = replace(file, status=IngestionStatus.FAIL, error=IngestionError("bad", "It is bad."), plan=None)
    async with transactions.autocommit() as tx:
        assert await tx.knowledge_files.record(failed)
        assert await tx.knowledge_files.get(file.knowledge_file_id, owner=owner) == failed
        assert not await tx.knowledge_files.record(file)
        assert not await tx.chunks.add(file, [new_chunk(0)], MODEL, NOW)
    anew = await begin_anew(transactions, file, seconds(2))
    assert anew == replace(
        failed,
        status=IngestionStatus.PROCESS,
        stage=Stage.QUEUED,
        attempts=0,
        error=None,
        generation=1,
        updated_at=seconds(2),
    )
    async with transactions.autocommit() as tx:
        assert not await tx.knowledge_files.record(file)
        assert await tx.knowledge_files.record(replace(anew, plan=file.plan))
        assert not await tx.chunks.add(file, [new_chunk(0)], MODEL, NOW)
        assert await tx.chunks.add(replace(anew, plan=file.plan), [new_chunk(0)], MODEL, NOW)


async def test_whoever_began_before_somebody_else_did_has_no_say(transactions: DatabaseTransactions) -> None:
    file = await with_file(transactions, await with_base(transactions, await registered(transactions)))
    first = file.begun(seconds(1))
    second = first.begun(seconds(2))
    async with transactions.autocommit() as tx:
        for one in (first, second):
            assert await tx.knowledge_files.record(one)
        for stale in (file, first.without_plan(seconds(3)), first.failed(seconds(3))):
            assert not await tx.knowledge_files.record(stale)
        assert await tx.knowledge_files.at_work(file.knowledge_file_id) == second
        assert await tx.knowledge_files.record(second.at(Stage.CHUNK, seconds(4)))


async def test_what_a_transaction_looks_at_stays_as_it_is_until_its_end(transactions: DatabaseTransactions) -> None:
    file = await with_file(transactions, await with_base(transactions, await registered(transactions)))

    async def begin() -> None:
        async with transactions.begin() as tx:
            found = await tx.knowledge_files.at_work(file.knowledge_file_id)
            assert found is not None
            await asyncio.sleep(0)
            assert await tx.knowledge_files.record(found.begun(seconds(1)))

    await asyncio.gather(*(begin() for _ in range(6)))
    async with transactions.autocommit() as tx:
        found = await tx.knowledge_files.at_work(file.knowledge_file_id)
    assert found is not None
    assert found.turn == 6


async def test_those_waiting_longest_come_first_and_a_touch_puts_them_off(transactions: DatabaseTransactions) -> None:
    owner = await registered(transactions)
    base = await with_base(transactions, owner)
    files = [await with_file(transactions, base, updated_at=seconds(-at)) for at in range(4)]
    async with transactions.autocommit() as tx:
        assert await tx.knowledge_files.record(replace(files[3], status=IngestionStatus.SUCCESS))
        assert await tx.knowledge_files.waiting(NOW, 9) == [files[2], files[1]]
        assert await tx.knowledge_files.waiting(NOW, 1) == [files[2]]
        await tx.knowledge_files.touch([], NOW)
        await tx.knowledge_files.touch([files[2].knowledge_file_id, files[3].knowledge_file_id], seconds(5))
        assert await tx.knowledge_files.waiting(NOW, 9) == [files[1]]
        assert await tx.knowledge_files.unfinished(owner=owner) == 3
        done = await tx.knowledge_files.get(files[3].knowledge_file_id, owner=owner)
        assert done.updated_at == files[3].updated_at
