"""A plain connection to the settings' Postgres, and why there is none."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import asyncpg

from adapters.database.engine import postgres_creator
from entrypoints.doctor.findings import Finding, fail
from entrypoints.settings.loading import Settings

Ask = Callable[["asyncpg.Connection[asyncpg.Record]"], Awaitable[Finding]]
FAILURES = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, ValueError)
"""Of connecting and asking. A wrong word in the address is a ValueError."""


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection: asyncpg.Connection[asyncpg.Record] = await postgres_creator(settings.database_url.reveal())()
    try:
        yield connection
    finally:
        connection.terminate()


async def asked(settings: Settings, name: str, ask: Ask) -> Sequence[Finding]:
    """What a connection tells; nothing in the embedded mode, which has no server."""
    if settings.embedded:
        return []
    try:
        async with connected(settings) as connection:
            return [await ask(connection)]
    except FAILURES as error:
        return [fail(name, f"Postgres at {place(settings)}: {reason(error)}", mend(error))]


def place(settings: Settings) -> str:
    """Host, port and name: what may be shown of an address."""
    parts = urlsplit(settings.database_url.reveal())
    host = parts.netloc.rpartition("@")[2] or "the host of its query"
    return f"{host}{parts.path}"


def reason(error: BaseException) -> str:
    """The server's own words for what it refuses; they name users and databases, never a password."""
    if isinstance(error, asyncpg.PostgresError):
        return str(error).partition("\n")[0]
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        return os.strerror(error.errno).lower()
    return "there is no such host" if isinstance(error, OSError) else "the address is not understood"


def mend(error: BaseException) -> str:
    text = str(error) if isinstance(error, asyncpg.PostgresError) else ""
    if "startup parameter" in text:
        return "pgbouncer.ini: ignore_startup_parameters = jit, statement_timeout, idle_in_transaction_session_timeout"
    if "prepared statement" in text:
        return "pgbouncer.ini: pool_mode = session, or max_prepared_statements = 200 (pgbouncer 1.21 or newer)"
    if isinstance(error, asyncpg.InvalidCatalogNameError):
        return "make the database (createdb), or correct the name in database_url"
    if isinstance(error, asyncpg.InvalidAuthorizationSpecificationError):
        return "correct user and password in database_url, or let them in by pg_hba.conf"
    if isinstance(error, asyncpg.TooManyConnectionsError):
        return "raise max_connections in postgresql.conf, or lower workers or pool_size"
    return "start Postgres, or correct database_url"
