"""Finding chunks by their terms: whatever the terms are, in the bases that were asked for, rare ones first."""

import asyncio
from collections.abc import Sequence

import asyncpg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import event

from adapters.database.lexical import lexical_on_postgres, lexical_on_sqlite
from adapters.database.transactions import DatabaseTransactions
from domain.ids import ChunkId, KnowledgeId
from domain.knowledge.knowledge import KnowledgeBase
from domain.knowledge.lexical import terms as terms_of
from stored import registered
from stored_knowledge import with_base, with_chunks

HOSTILE = [
    "OR",
    "AND",
    "NOT",
    "NEAR",
    "*",
    '"',
    '"x" OR "y"',
    "'",
    "a' | 'b",
    "terms:x",
    "-",
    "^a",
    "(",
    "\\",
    ":*",
    "&",
]
HOSTILE += [
    "'; DROP TABLE chunks; --",
    "",
    " ",
    "\0",
    "\ud800",
    "😀",
    "👩‍👩‍👧",
    "a b",
    "A",
    "a",
    "x" * 5000,
    "\ue000",
    "中文",
    "é",
]
TERMS = st.sampled_from([*HOSTILE, "b", "c"]) | st.text(st.characters(), max_size=6)


async def found(
    transactions: DatabaseTransactions, base: KnowledgeBase, terms: Sequence[str], limit: int = 99
) -> list[int]:
    """The ordinals of what is found, best first."""
    hits = await transactions.lexical().search(terms, [base.knowledge_id], limit)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert all(hit.score > 0 for hit in hits)
    async with transactions.autocommit() as tx:
        shown = await tx.chunks.shown([hit.chunk_id for hit in hits], owner=base.user_id)
    ordinals = {one.chunk_id: one.ordinal for one in shown}
    return [ordinals[hit.chunk_id] for hit in hits]


@settings(max_examples=30)
@given(texts=st.lists(st.lists(TERMS, max_size=5), min_size=1, max_size=5), query=st.lists(TERMS, max_size=4))
async def test_exactly_the_chunks_that_share_a_term_are_found(
    transactions: DatabaseTransactions, texts: list[list[str]], query: list[str]
) -> None:
    base = await with_base(transactions, await registered(transactions))
    await with_chunks(transactions, base, texts)
    asked = {term for term in query if term}
    assert sorted(await found(transactions, base, query)) == [at for at, held in enumerate(texts) if asked & {*held}]


async def test_rare_terms_count_more_repetition_less_and_less_and_length_against(
    transactions: DatabaseTransactions,
) -> None:
    base = await with_base(transactions, await registered(transactions))
    filler = [[f"x{at}", "common"] for at in range(20)]
    await with_chunks(
        transactions,
        base,
        [
            ["common"] * 8 + ["a"],
            ["rare", "b"],
            ["twice", "twice", "c", "d"],
            ["twice", "c", "d", "e"],
            ["length", *(f"y{at}" for at in range(60))],
            ["length", "f"],
            *filler,
        ],
    )
    assert (await found(transactions, base, ["common", "rare"]))[:2] == [1, 0]
    assert await found(transactions, base, ["twice"]) == [2, 3]
    assert await found(transactions, base, ["length"]) == [5, 4]
    assert await found(transactions, base, ["rare", "rare", "none"], 1) == [1]


async def test_nothing_is_found_in_other_bases_and_nothing_by_asking_nothing(
    transactions: DatabaseTransactions,
) -> None:
    owner = await registered(transactions)
    first, second, third = [await with_base(transactions, owner) for _ in range(3)]
    for base in (first, second, third):
        await with_chunks(transactions, base, [["word", base.knowledge_id]])
    index = transactions.lexical()
    assert len(await found(transactions, first, ["word"])) == 1
    both = [first.knowledge_id, second.knowledge_id, second.knowledge_id, KnowledgeId("no'ne")]
    assert len(await index.search(["word"], both, 9)) == 2
    assert len(await index.search(["word"], both, 1)) == 1
    for terms, bases, limit in (([], both, 9), ([""], both, 9), (["word"], [], 9), (["word"], both, 0)):
        assert not await index.search(terms, bases, limit)
    assert not await index.search([second.knowledge_id], [first.knowledge_id], 9)


async def test_a_query_of_100_000_characters_is_answered(transactions: DatabaseTransactions) -> None:
    base = await with_base(transactions, await registered(transactions))
    await with_chunks(transactions, base, [["needleinthehaystack"], ["other"]])
    words = terms_of(" ".join(f"w{at}" for at in range(15_000)) + " needleinthehaystack")
    assert await found(transactions, base, words) == [0]
    assert await found(transactions, base, terms_of("中" * 100_000)) == []
    assert await found(transactions, base, ["y" * 100_000]) == []


async def test_common_terms_are_left_out_where_rarer_ones_are_and_answered_where_not(
    transactions: DatabaseTransactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (lexical_on_sqlite, lexical_on_postgres):
        monkeypatch.setattr(module, "ENOUGH", 4)
    base = await with_base(transactions, await registered(transactions))
    await with_chunks(transactions, base, [["common", "other"]] * 12 + [["rare", "few"], ["few"], ["few"]])
    assert await found(transactions, base, ["common", "few", "rare"]) == [12, 13, 14]
    assert len(await found(transactions, base, ["common"], 4)) == 4
    assert len(await found(transactions, base, ["common", "other"], 4)) == 4


async def test_the_loop_goes_on_while_many_search(transactions: DatabaseTransactions) -> None:
    base = await with_base(transactions, await registered(transactions))
    await with_chunks(transactions, base, [["a", f"b{at}"] for at in range(20)])
    searches = (transactions.lexical().search(["a", f"b{at}"], [base.knowledge_id], 1) for at in range(20))
    best = [[hit.chunk_id for hit in hits] for hits in await asyncio.gather(*searches)]
    async with transactions.autocommit() as tx:
        ids: list[ChunkId] = [one for [one] in best]
        shown = {one.chunk_id: one.ordinal for one in await tx.chunks.shown(ids, owner=base.user_id)}
    assert [shown[one] for one in ids] == list(range(20))


async def test_however_often_postgres_is_asked_it_looks_into_the_index(postgres_url: str) -> None:
    """After five executions it plans a statement for any values. To read all rows with their terms takes seconds."""
    transactions, said = DatabaseTransactions.open(postgres_url, pool_size=1), []
    connection = await asyncpg.connect(postgres_url)
    try:
        base = await with_base(transactions, await registered(transactions))
        await with_chunks(transactions, base, [[f"{at % 500}w{one}" for one in range(150)] for at in range(2000)])
        await connection.execute("VACUUM ANALYZE chunk_terms")
        for engine in transactions.database.engines:
            event.listen(engine, "before_cursor_execute", lambda *given: said.append(given[2]))
        assert len(await found(transactions, base, ["3w1", "4w2"])) == 8
        await connection.execute(f"SET plan_cache_mode = force_generic_plan; PREPARE search AS {said[0]}")
        plan = "\n".join(row[0] for row in await connection.fetch("EXPLAIN EXECUTE search('{}', '{}', '{}', '{}', 9)"))
    finally:
        await connection.close()
        await transactions.aclose()
    assert "Bitmap Index Scan on chunk_terms_held" in plan
    assert "Seq Scan on chunk_terms" not in plan
