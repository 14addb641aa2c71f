"""The schema: up, down and up again, and exactly what tables.py says."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect
from sqlalchemy.engine import Connection

from adapters.database import schema
from adapters.database.engine import open_database
from adapters.database.tables import metadata
from adapters.database.transactions import DatabaseTransactions
from domain.agents import DEFAULT_AGENT
from domain.errors import Unavailable
from stored import registered


async def looked_at(url: str, look: Callable[[Connection], Any]) -> Any:
    database = open_database(url)

    def look_inside() -> Any:
        with database.writer.connect() as connection:
            return look(connection)

    found = await database.run(look_inside)
    await database.aclose()
    return found


def table_names(connection: Connection) -> set[str]:
    return set(inspect(connection).get_table_names()) - {"alembic_version"}


async def test_up_down_and_up_again(empty_database_url: str) -> None:
    url = empty_database_url
    assert await schema.current_revision(url) is None
    for _ in range(2):
        await schema.migrate(url)
        await schema.migrate(url)
        assert await schema.is_current(url)
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


async def test_the_migrated_schema_is_that_of_the_tables(database_url: str) -> None:
    def differences(connection: Connection) -> list[Any]:
        return compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata)

    assert await looked_at(database_url, differences) == []


async def test_two_processes_may_migrate_at_once(empty_database_url: str) -> None:
    await asyncio.gather(*(schema.migrate(empty_database_url) for _ in range(3)))
    assert await schema.is_current(empty_database_url)


async def test_an_old_schema_is_refused_with_the_command(empty_database_url: str) -> None:
    with pytest.raises(Unavailable) as refused:
        await schema.require_current(empty_database_url)
    assert refused.value.code == "schema_outdated"
    assert "agentchat migrate" in refused.value.message
    await schema.migrate(empty_database_url)
    await schema.require_current(empty_database_url)
