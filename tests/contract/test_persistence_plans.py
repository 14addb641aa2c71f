"""No query of a list or a chat reads a whole table."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import event, insert
from sqlalchemy.engine import Connection

from adapters.database.runs.run_rows import from_opening
from adapters.database.tables import files, readings, runs
from adapters.database.transactions import DatabaseTransactions
from application.paging import Position, Window
from application.ports.persistence import Transaction
from domain.accounts.users import FailedLogins, UserName
from domain.dialogs.messages import Answer, Question
from domain.dialogs.past import Summary
from domain.files.documents import ParsedDocument
from domain.ids import AgentId, FamilyId, FileId, McpServerId, ModelId, RunId, ToolId, UserId
from domain.usage.usage import DAY_MS, Grouping, Period
from spending import NOON, attempt, noted
from stored import (
    DIALOG,
    LEASE,
    NOW,
    agent,
    api_key,
    finished,
    open_answer,
    piece,
    question,
    registered,
    run_of,
    seconds,
    stored_file,
    with_dialog,
)
from tool_desk import stored_server, user_tool

BIG = (
    "users",
    "agents",
    "agent_versions",
    "dialogs",
    "messages",
    "dialog_summaries",
    "api_keys",
    "refresh_tokens",
    "login_failures",
    "runs",
    "run_log",
    "files",
    "readings",
    "tools",
    "mcp_servers",
    "usage_ledger",
)
WANTED_ALONE = "SCAN files USING INDEX files_gone"
"""Of an index that holds nothing but what is asked for, all may be read."""


@pytest.fixture
def sent(transactions: DatabaseTransactions) -> Iterator[list[tuple[str, Any]]]:
    """Every statement with its parameters."""
    found: list[tuple[str, Any]] = []

    def note(_c: object, _cursor: object, statement: str, parameters: Any, *_rest: object) -> None:
        if statement.startswith(("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")):
            found.append((statement, parameters))

    writer = transactions.database.writer
    event.listen(writer, "before_cursor_execute", note)
    yield found
    event.remove(writer, "before_cursor_execute", note)


async def use_everything(transactions: DatabaseTransactions, owner: UserId) -> None:
    window = Window(20, Position(NOW, "x"))
    one, asked, answer = agent(owner), question(), open_answer()
    async with transactions.begin() as tx:
        await tx.users.get(owner)
        await tx.users.by_name(UserName("ann"))
        await tx.users.locked(owner)
        await tx.users.set_password(owner, "new", "hash")
        await tx.refresh_tokens.is_live(FamilyId("f"), NOW, owner=owner)
        await tx.refresh_tokens.spend("hash", NOW)
        await tx.refresh_tokens.remove_family(FamilyId("f"))
        await tx.refresh_tokens.remove_all(owner)
        await tx.refresh_tokens.remove_expired(NOW)
        await tx.api_keys.add(api_key(owner))
        await tx.api_keys.owner_of("hash", NOW)
        await tx.api_keys.list(window, owner=owner)
        await tx.login_failures.among(["a", "b"])
        await tx.login_failures.record(FailedLogins("a", 1, NOW))
        await tx.login_failures.remove_before(NOW)
        await tx.agents.add(one)
        await tx.agents.get(one.agent_id, owner=owner)
        await tx.agent_versions.list(one.agent_id, 9, 20, owner=owner)
        await tx.agent_versions.get(one.agent_id, 1, owner=owner)
        await tx.agents.save(replace(one, version=2))
        await tx.agents.list(window, owner=owner)
        await tx.agents.list(Window(), owner=owner, name_part="a")
        await tx.agents.remove(one)
        await tx.dialogs.list(window, owner=owner)
        await tx.dialogs.get(DIALOG, owner=owner)
        await tx.dialogs.scene(DIALOG, AgentId("default"), owner=owner)
        await use_runs(tx, owner, asked, answer)
        await tx.messages.history(DIALOG, Window(20, Position(NOW, asked.message_id)), owner=owner)
        await tx.messages.past(DIALOG, 20, 1000, owner=owner)
        await use_summaries(tx, owner, answer)
        await tx.messages.get(answer.message_id, owner=owner)
        await tx.messages.rate(answer.message_id, None, owner=owner)
        await tx.dialogs.remove(DIALOG, owner=owner)
        await use_files(tx, owner)
        await use_tools(tx, owner)
        await use_usage(tx, owner)
        await tx.users.remove(owner)


async def use_summaries(tx: Transaction, owner: UserId, answer: Answer) -> None:
    await tx.summaries.want(DIALOG, 1, owner=owner)
    state = await tx.summaries.state(DIALOG, owner=owner)
    assert state is not None
    await tx.summaries.stretch(DIALOG, state, 20, 1000, owner=owner)
    await tx.summaries.failed(DIALOG, 0, owner=owner)
    await tx.summaries.save(DIALOG, Summary("said", 1), 0, answer.message_id, owner=owner)


async def use_files(tx: Transaction, owner: UserId) -> None:
    one, other = stored_file(owner), FileId("other")
    await tx.files.add(one)
    await tx.files.get(one.file_id, owner=owner)
    await tx.files.list(Window(20, Position(NOW, "x")), owner=owner)
    await tx.files.these([one.file_id, other], owner=owner)
    await tx.files.signed(one.file_id)
    await tx.files.uploaded(NOW, owner=owner)
    await tx.files.remove(one.file_id, NOW, owner=owner)
    await tx.files.removed(10, FileId("01"))
    await tx.files.emptied([one.file_id, other])
    await tx.files.forget(NOW, 10)
    await tx.files.known([one.file_id, other])
    await tx.readings.put(one.sha256, "pdf/1", ParsedDocument("text"))
    await tx.readings.get([one.sha256, "other"], "pdf/1")


async def use_usage(tx: Transaction, owner: UserId) -> None:
    await tx.ledger.add(owner, AgentId("default"), None, [attempt()])
    await tx.ledger.begin(owner, AgentId("default"), "call", [attempt()])
    await tx.ledger.keep_used(finished(open_answer(), attempts=(attempt(),)), owner=owner)
    for grouping in Grouping:
        await tx.ledger.report(grouping, Period(NOON, NOON + 1), 100, owner=owner)
    await tx.ledger.spent(NOON, [ModelId("gpt-4")], owner=owner)
    await tx.ledger.remove_before(NOON, 10)


async def use_tools(tx: Transaction, owner: UserId) -> None:
    tool, server, window = user_tool(owner), stored_server(owner), Window(20, Position(NOW, "x"))
    await tx.tools.add(tool)
    await tx.tools.get(tool.tool_id, owner=owner)
    await tx.tools.list(window, owner=owner)
    await tx.tools.these([tool.tool_id, ToolId("other")], owner=owner)
    await tx.tools.held([tool.tool_id, ToolId("other")], owner=owner)
    await tx.tools.named(["a", "b"], owner=owner)
    await tx.tools.stock(owner=owner)
    await tx.tools.save(tool)
    await tx.mcp_servers.add(server)
    await tx.mcp_servers.get(server.server_id, owner=owner)
    await tx.mcp_servers.list(window, owner=owner)
    await tx.mcp_servers.these([server.server_id, McpServerId("other")], owner=owner)
    await tx.mcp_servers.held([server.server_id, McpServerId("other")], owner=owner)
    await tx.mcp_servers.count(owner=owner)
    await tx.mcp_servers.save(server)
    await tx.mcp_servers.note(server)
    await tx.agents.add(agent(owner, tool_ids=(tool.tool_id,), mcp_ids=(server.server_id,)))
    await tx.tools.remove(tool.tool_id, NOW, owner=owner)
    await tx.mcp_servers.remove(server.server_id, NOW, owner=owner)


async def use_runs(tx: Transaction, owner: UserId, asked: Question, answer: Answer) -> None:
    run, pieces = run_of(answer, owner), [piece(answer.run_id, 1, "a"), piece("other", 1, "b")]
    await tx.runs.open(run, asked, answer)
    await tx.runs.begun([run.run_id, RunId("other")])
    await tx.runs.append(pieces)
    await tx.runs.log(run.run_id, 1, 10)
    await tx.runs.renew([run.run_id, RunId("other")], LEASE)
    await tx.runs.follow(run.run_id, LEASE)
    await tx.runs.request_stop(run.run_id)
    await tx.runs.get(run.run_id, owner=owner)
    await tx.runs.open_in(DIALOG, owner=owner)
    await tx.runs.by_key("key", owner=owner)
    await tx.runs.release_key(run.run_id)
    await tx.runs.abandoned(NOW, 10)
    await tx.runs.hold_abandoned(run.run_id, NOW)
    await tx.runs.close(finished(answer, attempts=(attempt(),)), [piece(run.run_id, 2, "c")], owner=owner)
    await tx.runs.close(finished(answer), (), owner=owner)
    await tx.runs.remove_logs(seconds(99), 10)
    await tx.runs.remove(seconds(99), 10)


async def test_no_statement_scans_a_table(transactions: DatabaseTransactions, sent: list[tuple[str, Any]]) -> None:
    owner = await with_dialog(transactions)
    sent.clear()
    await use_everything(transactions, owner)
    statements = list(sent)
    assert len(statements) > 25
    explain = explained_by_sqlite if transactions.database.dialect == "sqlite" else explained_by_postgres

    def explain_all() -> None:
        with transactions.database.writer.connect() as connection:
            for statement, parameters in statements:
                scanned = explain(connection, statement, parameters)
                assert not scanned, f"{statement} reads all of {scanned}"

    await transactions.database.run(explain_all)


async def test_open_runs_are_found_among_many_by_the_index_of_the_open_ones(
    transactions: DatabaseTransactions, sent: list[tuple[str, Any]]
) -> None:
    owner = await with_dialog(transactions)
    await with_runs(transactions, owner)
    sent.clear()
    async with transactions.begin() as tx:
        await tx.dialogs.scene(DIALOG, None, owner=owner)
        await tx.runs.abandoned(NOW, 10)
        await tx.runs.open_in(DIALOG, owner=owner)
    for plan, index in zip(await plans(transactions, sent), ("runs_open", "runs_leases", "runs_open"), strict=False):
        assert index in plan
        assert "SCAN runs" not in plan


async def plans(transactions: DatabaseTransactions, sent: Sequence[tuple[str, Any]]) -> list[str]:
    """How the database would do each, with the tables as they are."""
    explain = "EXPLAIN QUERY PLAN " if transactions.database.dialect == "sqlite" else "EXPLAIN "

    def explain_all() -> list[str]:
        with transactions.database.writer.connect() as connection:
            return [
                str(connection.exec_driver_sql(explain + statement, parameters).fetchall())
                for statement, parameters in sent
            ]

    return await transactions.database.run(explain_all)


async def test_of_many_files_each_question_reads_its_index(
    transactions: DatabaseTransactions, sent: list[tuple[str, Any]]
) -> None:
    owner = await registered(transactions)
    await with_files(transactions, owner)
    sent.clear()
    expected = (
        ("files_by_user",),
        ("files_by_user", "files_sizes"),
        ("files_gone",),
        ("files_emptied", "files_pk"),
        ("readings_pk", "files_by_content"),
    )
    async with transactions.begin() as tx:
        await tx.files.list(Window(20), owner=owner)
        await tx.files.uploaded(seconds(-3600), owner=owner)
        await tx.files.removed(10, FileId("01"))
        await tx.files.forget(NOW, 10)
        await tx.readings.remove_unused(10)
    for plan, indexes in zip(await plans(transactions, sent), expected, strict=True):
        # SQLite names the index of a primary key after its table.
        shown = plan.replace("sqlite_autoindex_readings_1", "readings_pk").replace(
            "sqlite_autoindex_files_1", "files_pk"
        )
        assert [index for index in indexes if index not in shown] == []
        assert "Seq Scan on files" not in plan
        assert "Seq Scan on readings" not in plan
        assert "SCAN files" not in plan.replace(WANTED_ALONE, "")
    # The key's index is read from its begin, but never the texts.
    assert "readings USING COVERING INDEX" in plan or "Index Only Scan using readings_pk" in plan


async def test_of_the_ledger_the_days_of_one_are_read_and_what_is_old(
    transactions: DatabaseTransactions, sent: list[tuple[str, Any]]
) -> None:
    users = [await registered(transactions) for _ in range(40)]
    for one in users:
        await noted(transactions, one, [attempt(at=NOON + number * DAY_MS) for number in range(50)])
    if transactions.database.dialect == "postgresql":
        await transactions.database.run(lambda: analyzed(transactions))
    sent.clear()
    async with transactions.begin() as tx:
        for grouping in Grouping:
            assert await tx.ledger.report(grouping, Period(NOON, NOON + 3 * DAY_MS), 100, owner=users[7])
        await tx.ledger.spent(NOON + 49 * DAY_MS, [ModelId("gpt-4")], owner=users[7])
        await tx.ledger.remove_before(NOON, 10)
    *asked, removed = await plans(transactions, sent)
    assert [plan for plan in asked if not ("usage_ledger_pk" in plan or "usage_ledger USING PRIMARY KEY" in plan)] == []
    assert "usage_ledger_by_time" in removed
    assert [
        plan for plan in (*asked, removed) if "SCAN usage_ledger" in plan or "Seq Scan on usage_ledger" in plan
    ] == []


def analyzed(transactions: DatabaseTransactions) -> None:
    with transactions.database.writer.begin() as connection:
        connection.exec_driver_sql("ANALYZE")


async def with_files(transactions: DatabaseTransactions, owner: UserId) -> None:
    """Many of many users, each content read once; a few were removed, a few of these emptied."""
    users = [owner, *[await registered(transactions) for _ in range(30)]]
    rows = [
        {column.name: getattr(one, column.name, None) for column in files.c}
        | {"removed_at": NOW if number < 3 else None, "has_content": number != 1}
        for someone in users
        for number in range(100)
        for one in [stored_file(someone, sha256=f"{someone}{number}", created_at=seconds(number))]
    ]
    read = [{"sha256": row["sha256"], "parser": "pdf/1", "outcome": b"x" * 1000} for row in rows]

    def store() -> None:
        with transactions.database.writer.begin() as connection:
            connection.execute(insert(files), rows)
            connection.execute(insert(readings), read)
        if transactions.database.dialect != "sqlite":
            with transactions.database.writer.connect() as connection:
                connection = connection.execution_options(isolation_level="AUTOCOMMIT")
                connection.exec_driver_sql("VACUUM ANALYZE files, readings, users")

    await transactions.database.run(store)


async def with_runs(transactions: DatabaseTransactions, owner: UserId) -> None:
    """Many that were closed, of many users, each with one open."""
    users = [owner, *[await with_dialog(transactions) for _ in range(60)]]
    run = from_opening(run_of(open_answer(), owner), question(), open_answer())
    bare = {column.name: run.get(f"r_{column.name}") for column in runs.c}
    bare |= {"dialog_id": DIALOG, "has_log": True, "pauses": 0}
    rows = [
        bare | {"run_id": f"{one}{number}", "user_id": one, "closed_at": seconds(number) if number else None}
        for one in users
        for number in range(30)
    ]

    def store() -> None:
        with transactions.database.writer.begin() as connection:
            connection.execute(insert(runs), rows)
            if transactions.database.dialect != "sqlite":
                connection.exec_driver_sql("ANALYZE")

    await transactions.database.run(store)


def explained_by_sqlite(connection: Connection, statement: str, parameters: Any) -> list[str]:
    plan = connection.exec_driver_sql("EXPLAIN QUERY PLAN " + statement, parameters).fetchall()
    steps = [str(row[3]) for row in plan]
    return [
        step for step in steps for table in BIG if step.split(" USING")[0] == f"SCAN {table}" and step != WANTED_ALONE
    ]


def explained_by_postgres(connection: Connection, statement: str, parameters: Any) -> list[str]:
    # On a few rows a scan is cheapest: forbidden, it is taken only where no index serves.
    connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
    plan = connection.exec_driver_sql("EXPLAIN (FORMAT JSON) " + statement, parameters).scalar_one()
    return list(scans(json.loads(plan) if isinstance(plan, str) else plan))


def scans(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for one in node:
            yield from scans(one)
    elif isinstance(node, dict):
        if node.get("Node Type") == "Seq Scan":
            yield str(node["Relation Name"])
        for value in node.values():
            yield from scans(value)
