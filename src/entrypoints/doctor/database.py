"""Is the database there, does it answer and hold our tables, and has it room for our connections."""

from collections.abc import Sequence
from time import perf_counter
from typing import Final

import asyncpg

from adapters.database import schema
from domain.errors import Unavailable
from entrypoints.doctor import postgres, sqlite_file
from entrypoints.doctor.findings import Finding, fail, milliseconds, ok, warn
from entrypoints.doctor.subject import Subject

ROUND_TRIPS: Final = 5
ALLOWED: Final = """
    SELECT least(
        current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int,
        (SELECT nullif(datconnlimit, -1) FROM pg_database WHERE datname = current_database()),
        (SELECT nullif(rolconnlimit, -1) FROM pg_roles WHERE rolname = current_user))
"""
OTHERS: Final = """
    SELECT count(*) FROM pg_stat_activity
    WHERE application_name IS DISTINCT FROM 'agentchat' AND (backend_type = 'client backend' OR backend_type IS NULL)
"""


async def reachable(subject: Subject) -> Sequence[Finding]:
    settings = subject.settings
    if settings.embedded:
        return await sqlite_file.usable(settings)

    async def ask(connection: "asyncpg.Connection[asyncpg.Record]") -> Finding:
        took = []
        for _ in range(ROUND_TRIPS):
            begun = perf_counter()
            version = await connection.fetchval("SHOW server_version")
            took.append(perf_counter() - begun)
        message = f"Postgres {version} at {postgres.place(settings)} answers in {milliseconds(min(took))}"
        return ok("database", message)

    return await postgres.asked(settings, "database", ask)


async def schema_current(subject: Subject) -> Sequence[Finding]:
    try:
        found = await schema.current_revision(subject.settings.database_url.reveal())
    except Unavailable as error:
        return [fail("schema", error.message, "see the check database")]
    return [schema_verdict(found, schema.NEWEST)]


def schema_verdict(found: str | None, wanted: str) -> Finding:
    if found == wanted:
        return ok("schema", f"version {found}, which is this program's")
    if found is not None and found > wanted:
        message = f"version {found} was made by a newer program; this one knows {wanted}"
        return fail("schema", message, "install the newer version here too")
    return fail("schema", f"version {found or 'none'}, and this program needs {wanted}", "run `agentchat migrate`")


async def enough_connections(subject: Subject) -> Sequence[Finding]:
    settings = subject.settings

    async def ask(connection: "asyncpg.Connection[asyncpg.Record]") -> Finding:
        allowed = await connection.fetchval(ALLOWED)
        return connections_verdict(settings.workers, settings.pool_size, allowed, await connection.fetchval(OTHERS))

    return await postgres.asked(settings, "connections", ask)


def connections_verdict(workers: int, pool_size: int, allowed: int, others: int) -> Finding:
    """Each process keeps one connection beside its pool, to listen on."""
    needed = workers * (pool_size + 1)
    message = f"{workers} x ({pool_size} + 1) = {needed} at most for this machine; the server allows {allowed}"
    mend = "lower pool_size or workers, or raise max_connections in postgresql.conf"
    if needed > allowed:
        return fail("connections", message, mend)
    if needed + others > allowed:
        return warn("connections", f"{message}, and others hold {others}", mend)
    return ok("connections", message)
