"""pgqueuer's tables, in a schema of their own, so that no name of theirs meets one of ours."""

from typing import Final, TypeAlias

import asyncpg
from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver
from pgqueuer.adapters.persistence.qb import QueryBuilderEnvironment, QueryQueueBuilder, QuerySchedulerBuilder
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.domain.settings import DBSettings, Durability
from pgqueuer.domain.types import Channel

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

SCHEMA: Final = "agentchat_jobs"
CHANNEL: Final = "agentchat_jobs"
TABLE: Final = f"{SCHEMA}.pgqueuer"

_WORKERS: Final = f"""
    CREATE TABLE IF NOT EXISTS {SCHEMA}.workers (worker uuid PRIMARY KEY, seen timestamptz NOT NULL)
"""
"""Ours: the library knows of a worker only while it does something."""

_LOCK: Final = 7_346_210_957_442
"""Of our own choosing: whoever holds this advisory lock of Postgres makes the tables."""


def _settings() -> DBSettings:
    """Each name is said, for the library takes what is left out from the environment."""
    return DBSettings(
        prefix="",
        db_schema=SCHEMA,
        channel=Channel(CHANNEL),
        function="fn_pgqueuer_changed",
        statistics_table="pgqueuer_statistics",
        queue_status_type="pgqueuer_status",
        queue_table="pgqueuer",
        queue_table_log="pgqueuer_log",
        trigger="tg_pgqueuer_changed",
        schedules_table="pgqueuer_schedules",
        durability=Durability.balanced,
        widen_id=True,
    )


_SETTINGS: Final = _settings()


def queries(connection: Connection) -> Queries:
    return Queries(
        AsyncpgDriver(connection),
        QueryBuilderEnvironment(_SETTINGS),
        QueryQueueBuilder(_SETTINGS),
        QuerySchedulerBuilder(_SETTINGS),
    )


async def install(connection: Connection) -> None:
    """Make the tables, or bring them up to the library's version. Several processes may do it at once, and again."""
    await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
    try:
        found = queries(connection)
        if await found.schema_is_installed():
            await found.apply_upgrade()
            await connection.execute(_WORKERS)
            return
        async with connection.transaction():
            await found.install()
            await connection.execute(_WORKERS)
    finally:
        await connection.execute("SELECT pg_advisory_unlock($1)", _LOCK)


async def is_installed(connection: Connection) -> bool:
    there = "SELECT to_regclass($1) IS NOT NULL AND to_regclass($2) IS NOT NULL"
    return bool(await connection.fetchval(there, TABLE, f"{SCHEMA}.workers"))
