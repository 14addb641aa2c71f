"""The schema: up, down and up again, and exactly what tables.py says."""

import asyncio
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect
from sqlalchemy.engine import Connection

from adapters.database import schema
from adapters.database.engine import open_database
from adapters.database.tables import metadata
from adapters.database.transactions import DatabaseTransactions
from application.paging import Window
from domain.agents.agents import DEFAULT_AGENT, AgentVersion
from domain.dialogs.messages import Exchange
from domain.errors import Unavailable
from domain.ids import ToolId
from stored import DIALOG, agent, exchange, open_answer, question, registered, run_of, uploaded, with_dialog


async def looked_at(url: str, look: Callable[[Connection], Any]) -> Any:
    database = open_database(url)

    def look_inside() -> Any:
        with database.writer.connect() as connection:
            return look(connection)

    found = await database.run(look_inside)
    await database.aclose()
    return found


TERMS = re.compile("chunk_terms(_[a-z_]+)?")
"""Made in the dialect's own words, on SQLite with tables behind it."""


def table_names(connection: Connection) -> set[str]:
    names = set(inspect(connection).get_table_names()) - {"alembic_version"}
    return {name for name in names if not TERMS.fullmatch(name)}


async def test_up_down_and_up_again(empty_database_url: str) -> None:
    url = empty_database_url
    assert await schema.current_revision(url) is None
    for _ in range(2):
        await schema.migrate(url)
        await schema.migrate(url)
        assert await schema.current_revision(url) == schema.NEWEST
        assert await looked_at(url, table_names) == set(metadata.tables)
        await schema.downgrade(url, "base")
        assert await looked_at(url, table_names) == set()
        assert await schema.current_revision(url) is None
    await schema.migrate(url)
    transactions = DatabaseTransactions.open(url)
    async with transactions.autocommit() as tx:
        owner = await registered(transactions)
        assert (await tx.agents.get(DEFAULT_AGENT, owner=owner)).name == "Assistant"
    await transactions.aclose()


def test_the_newest_schema_is_the_last_migration() -> None:
    assert ScriptDirectory(str(schema.MIGRATIONS)).get_current_head() == schema.NEWEST


async def test_the_migrated_schema_is_that_of_the_tables(database_url: str) -> None:
    def differences(connection: Connection) -> list[Any]:
        ours = {"compare_type": True, "include_name": lambda name, kind, _: kind != "table" or name in metadata.tables}
        found: list[Any] = compare_metadata(MigrationContext.configure(connection, opts=ours), metadata)
        return found

    assert await looked_at(database_url, differences) == []


def test_a_start_on_the_newest_schema_does_not_load_alembic(database_url: str) -> None:
    start = (
        "import asyncio, sys; from adapters.database import schema; "
        "asyncio.run(schema.migrate(sys.argv[1])); asyncio.run(schema.require_current(sys.argv[1])); "
        "assert 'alembic' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", start, database_url], check=True)


async def test_two_processes_may_migrate_at_once(empty_database_url: str) -> None:
    await asyncio.gather(*(schema.migrate(empty_database_url) for _ in range(3)))
    assert await schema.current_revision(empty_database_url) == schema.NEWEST


async def test_an_old_schema_is_refused_with_the_command(empty_database_url: str) -> None:
    with pytest.raises(Unavailable) as refused:
        await schema.require_current(empty_database_url)
    assert refused.value.code == "schema_outdated"
    assert "agentchat migrate" in refused.value.message
    await schema.migrate(empty_database_url)
    await schema.require_current(empty_database_url)


OLD_MESSAGE = (
    "INSERT INTO messages (message_id, user_id, dialog_id, position, created_at, content, status, run_id, lease_until) "
    "VALUES ('{0}', '{1}', 'dialog-123', {2}, {3}, '{0}', '{4}', 'r', {3})"
)


async def test_answers_under_way_at_a_migration_end_as_interrupted(empty_database_url: str) -> None:
    url = empty_database_url
    await schema.migrate(url)
    transactions = DatabaseTransactions.open(url)
    owner = await with_dialog(transactions)
    await transactions.aclose()
    await schema.downgrade(url, "0001")
    assert await schema.current_revision(url) == "0001"
    now = "now()" if url.startswith("postgres") else "1700000000000000"

    def store(connection: Connection) -> None:
        for position, (name, status) in enumerate([("done", "complete"), ("open", "running")]):
            connection.exec_driver_sql(OLD_MESSAGE.format(name, owner, position, now, status))
        connection.commit()

    def statuses(connection: Connection) -> list[Any]:
        found = connection.exec_driver_sql("SELECT content, status, closed_at IS NULL FROM messages ORDER BY position")
        return [tuple(row) for row in found]

    await looked_at(url, store)
    await schema.migrate(url)
    assert await looked_at(url, statuses) == [("done", "complete", True), ("open", "interrupted", False)]
    transactions = DatabaseTransactions.open(url)
    answer = open_answer()
    async with transactions.autocommit() as tx:
        await tx.runs.open(run_of(answer, owner), question(), answer)
    await transactions.aclose()
    await schema.downgrade(url, "0001")
    assert ("", "interrupted", False) in await looked_at(url, statuses)


async def test_questions_from_before_there_were_files_have_none(empty_database_url: str) -> None:
    url = empty_database_url
    await schema.migrate(url)
    transactions = DatabaseTransactions.open(url)
    owner = await with_dialog(transactions)
    asked, answer = await exchange(transactions, owner)
    file = await uploaded(transactions, owner)
    await transactions.aclose()
    await schema.downgrade(url, "0002")
    assert await schema.current_revision(url) == "0002"
    assert not {"files", "readings"} & await looked_at(url, table_names)
    await schema.migrate(url)
    transactions = DatabaseTransactions.open(url)
    async with transactions.autocommit() as tx:
        nobody_known = replace(answer, agent_id=None, agent_version=None)
        assert await tx.messages.history(DIALOG, Window(), owner=owner) == [asked, nobody_known]
        said = Exchange(asked.content, answer.content)
        assert (await tx.messages.past(DIALOG, 5, 1000, owner=owner)).exchanges == (said,)
        assert await tx.files.list(Window(), owner=owner) == []
        await tx.files.add(file)
        assert await tx.files.list(Window(), owner=owner) == [file]
    await transactions.aclose()


async def test_indexes_are_made_as_the_tables_say(database_url: str) -> None:
    """Also which rows a partial index holds: the comparison above does not look at that."""

    def conditions(connection: Connection) -> dict[str, str]:
        postgres = connection.dialect.name == "postgresql"
        found = connection.exec_driver_sql(
            "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'"
            if postgres
            else "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
        )
        return {name: plain(sql.partition("WHERE")[2]) for name, sql in found if "WHERE" in sql}

    def plain(condition: str) -> str:
        return re.sub(r"[()\s]|::text", "", condition)

    indexes = [index for table in metadata.tables.values() for index in table.indexes]
    wanted = {str(one.name): plain(str(one.dialect_options["sqlite"]["where"])) for one in indexes}
    assert await looked_at(database_url, conditions) == {name: one for name, one in wanted.items() if one != "None"}


async def test_agents_from_before_versions_were_kept_begin_with_the_one_they_have(empty_database_url: str) -> None:
    url = empty_database_url
    await schema.migrate(url)
    transactions = DatabaseTransactions.open(url)
    owner = await registered(transactions)
    old = agent(owner, version=7, system_prompt="old", tool_ids=(ToolId("t"),))
    async with transactions.begin() as tx:
        await tx.agents.add(old)
    await transactions.aclose()
    await schema.downgrade(url, "0011")
    assert "agent_versions" not in await looked_at(url, table_names)
    await schema.migrate(url)
    transactions = DatabaseTransactions.open(url)
    async with transactions.autocommit() as tx:
        assert await tx.agent_versions.list(old.agent_id, 99, 99, owner=owner) == [AgentVersion(7, old.updated_at)]
        assert await tx.agent_versions.get(old.agent_id, 7, owner=owner) == old
        default = await tx.agents.get(DEFAULT_AGENT, owner=owner)
        assert await tx.agent_versions.get(DEFAULT_AGENT, default.version, owner=owner) == default
    await transactions.aclose()
