"""No question about knowledge reads a whole table, however many bases, files and chunks there are of others."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import event, text

from adapters.database.transactions import DatabaseTransactions
from application.paging import Position, Window
from application.ports.job_queue import Job, JobKind
from domain.ids import ChunkId, KnowledgeFileId, KnowledgeId
from domain.knowledge.knowledge import KnowledgeBase, KnowledgeFile
from stored import NOW, registered, seconds
from stored_knowledge import MODEL, knowledge_file, new_chunk, vector, with_base, with_chunks, with_file

TABLES = ("knowledge_bases", "knowledge_files", "chunks", "chunk_vectors", "chunk_terms", "agents", "users", "jobs")
ALIASES = ("other",)
WANTED_ALONE = ("INDEX knowledge_bases_gone", "INDEX knowledge_files_gone", "INDEX jobs_turn", "INDEX jobs_held")
"""Of an index that holds nothing but what is asked for, all may be read."""
SENT = ("SELECT", "INSERT INTO chunk_vectors", "UPDATE", "DELETE", "WITH", "\n    WITH")


@pytest.fixture
def sent(transactions: DatabaseTransactions) -> Iterator[list[tuple[str, Any]]]:
    found: list[tuple[str, Any]] = []

    def note(_c: object, _cursor: object, statement: str, parameters: Any, _context: object, many: bool) -> None:
        if statement.startswith(SENT) and not many:
            found.append((statement, parameters))

    for engine in transactions.database.engines:
        event.listen(engine, "before_cursor_execute", note)
    yield found
    for engine in transactions.database.engines:
        event.remove(engine, "before_cursor_execute", note)


async def use_everything(transactions: DatabaseTransactions, base: KnowledgeBase, file: KnowledgeFile) -> None:
    owner, window = base.user_id, Window(20, Position(NOW, "x"))
    ids = [base.knowledge_id, KnowledgeId("other")]
    chunks = [ChunkId(1), ChunkId(2)]
    for open_unit in (transactions.autocommit, transactions.begin):
        async with open_unit() as tx:
            await tx.knowledge.get(base.knowledge_id, owner=owner)
            await tx.knowledge.list(window, owner=owner)
            await tx.knowledge.these(ids, owner=owner)
            await tx.knowledge.save(base)
            await tx.knowledge.removed(10)
            await tx.knowledge.forget(base.knowledge_id)
            await tx.knowledge.of_other_models("other", 10, base.knowledge_id)
            await tx.knowledge.switch(base.knowledge_id, MODEL)
            await tx.knowledge_files.list(base.knowledge_id, window, owner=owner)
            await tx.knowledge_files.get(file.knowledge_file_id, owner=owner)
            await tx.knowledge_files.unfinished(owner=owner)
            await tx.knowledge_files.beside(file)
            await tx.knowledge_files.at_work(file.knowledge_file_id)
            await tx.knowledge_files.record(file)
            await tx.knowledge_files.waiting(seconds(-9), 10)
            await tx.knowledge_files.touch([file.knowledge_file_id, KnowledgeFileId("other")], NOW)
            await tx.knowledge_files.removed(10)
            await tx.knowledge_files.forget(file.knowledge_file_id)
            await tx.chunks.add(file, [new_chunk(at, "a") for at in range(9)], MODEL, NOW)
            await tx.chunks.without_vector(base.knowledge_id, "other", 10, ChunkId(1))
            await tx.chunks.add_vectors(base.knowledge_id, "other", [(one, vector()) for one in chunks])
            await tx.chunks.remove_vectors(base.knowledge_id, but=MODEL, limit=10)
            await tx.chunks.shown(chunks, owner=owner)
            await tx.chunks.remove_of_file(file.knowledge_file_id, 2)
            await tx.chunks.remove_of_base(base.knowledge_id, 2)
    await transactions.lexical().search(["a", "b"], ids, 10)
    async with transactions.autocommit() as tx:
        await tx.knowledge_files.remove(file.knowledge_file_id, NOW, owner=owner)
        await tx.knowledge.remove(base.knowledge_id, NOW, owner=owner)


async def use_embedded_queue(transactions: DatabaseTransactions) -> None:
    """Begin, end and give up a job. How many there are is told by counting them all."""
    jobs, job = transactions.jobs(), Job(JobKind.INGEST, "a")
    await jobs.put(job)
    [taken] = await jobs.take(1)
    await jobs.release(taken)
    [taken] = await jobs.take(1)
    await jobs.put_back(taken, job, 1)
    [taken] = await jobs.take(1)
    await jobs.finish(taken)


async def test_no_statement_about_knowledge_scans_a_table(
    transactions: DatabaseTransactions, sent: list[tuple[str, Any]]
) -> None:
    owner = await registered(transactions)
    base = await with_base(transactions, owner)
    file = await with_chunks(transactions, base, [["a"], ["b"]])
    sent.clear()
    await use_everything(transactions, base, file)
    postgres = transactions.database.dialect != "sqlite"
    if not postgres:
        await use_embedded_queue(transactions)
    statements = list(sent)
    assert len(statements) > 60

    def explain_all() -> list[str]:
        with transactions.database.writer.connect() as connection:
            if postgres:
                # On a few rows a scan is cheapest: forbidden, it is taken only where no index serves.
                connection.execute(text("SET LOCAL enable_seqscan = off"))
            explain = "EXPLAIN " if postgres else "EXPLAIN QUERY PLAN "
            return [
                f"{step[-1]} in {statement}"
                for statement, parameters in statements
                for step in connection.exec_driver_sql(explain + statement, parameters)
                if any(
                    f"{how} {table}" in str(step[-1])
                    for how in ("Seq Scan on", "SCAN")
                    for table in (*TABLES, *ALIASES)
                )
                and not str(step[-1]).endswith(WANTED_ALONE)
            ]

    assert await transactions.database.run(explain_all) == []


async def test_an_upload_is_found_and_a_base_s_files_are_summed_up_by_indexes_alone(
    transactions: DatabaseTransactions, sent: list[tuple[str, Any]]
) -> None:
    base = await with_base(transactions, await registered(transactions))
    file = await with_file(transactions, base)
    sent.clear()
    async with transactions.autocommit() as tx:
        await tx.knowledge_files.add(file)
        await tx.knowledge_files.add(knowledge_file(base))
        await tx.knowledge.get(base.knowledge_id, owner=base.user_id)
    asked = [(one, values) for one, values in sent if "knowledge_files" in one]
    assert len(asked) == 5

    def explain_all() -> list[str]:
        with transactions.database.writer.connect() as connection:
            if transactions.database.dialect != "sqlite":
                connection.execute(text("SET LOCAL enable_seqscan = off"))
            explain = "EXPLAIN QUERY PLAN " if transactions.database.dialect == "sqlite" else "EXPLAIN "
            steps = (step for one, values in asked for step in connection.exec_driver_sql(explain + one, values))
            return [str(step[-1]) for step in steps if "knowledge_files" in str(step[-1])]

    used = await transactions.database.run(explain_all)
    assert len(used) >= 6
    assert all("knowledge_files_upload" in step or "knowledge_files_sizes" in step for step in used)


async def test_calls_take_as_few_statements_as_they_say(
    transactions: DatabaseTransactions, statements: list[str]
) -> None:
    owner = await registered(transactions)
    base = await with_base(transactions, owner)
    file = await with_chunks(transactions, base, [["a"]])
    async with transactions.autocommit() as tx:
        calls = (
            tx.knowledge.get(base.knowledge_id, owner=owner),
            tx.knowledge.list(Window(), owner=owner),
            tx.knowledge.these([base.knowledge_id], owner=owner),
            tx.knowledge.removed(9),
            tx.knowledge.of_other_models("m", 9),
            tx.knowledge_files.list(base.knowledge_id, Window(), owner=owner),
            tx.knowledge_files.get(file.knowledge_file_id, owner=owner),
            tx.knowledge_files.at_work(file.knowledge_file_id),
            tx.knowledge_files.record(file),
            tx.chunks.shown([ChunkId(1)], owner=owner),
        )
        for call in calls:
            statements.clear()
            await call
            assert len(statements) == 1
        statements.clear()
        assert await tx.chunks.add(file, [new_chunk(at, "a", "b") for at in range(1, 40)], MODEL, NOW)
        assert len(statements) <= 10
