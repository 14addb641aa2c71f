"""The schema's versions. Every function may be called inside a running event loop, by several processes at once."""

from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from sqlalchemy import NullPool, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from adapters.database.engine import is_postgres, postgres_creator, sqlite_engine, sqlite_file
from adapters.database.errors import FAILURES
from adapters.database.session import Attempts, away, refuse
from domain.errors import Unavailable

NEWEST: Final = "0013"
"""The last revision in `migrations/versions`; a test holds it to that."""

MIGRATIONS: Final = Path(__file__).with_name("migrations")

_LOCK: Final = 7_346_210_957_441
"""Of our own choosing: whoever holds this advisory lock of Postgres migrates."""

_TABLE: Final = {
    "sqlite": "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'alembic_version'",
    "postgresql": "SELECT 1 WHERE to_regclass('alembic_version') IS NOT NULL",
}

_T = TypeVar("_T")


async def migrate(url: str) -> None:
    """Bring the database to the newest schema; a SQLite file is made where there is none."""
    await alone(url, _upgrade)


async def downgrade(url: str, revision: str) -> None:
    """Back to a revision; `base` removes every table."""
    await alone(url, lambda connection: _alembic("downgrade", connection, revision))


async def current_revision(url: str) -> str | None:
    """None for a database without our tables."""
    return await alone(url, _revision)


async def require_current(url: str) -> None:
    """Raises Unavailable `schema_outdated`, which says the command, or `database_unavailable`."""
    found = await current_revision(url)
    if found != NEWEST:
        raise Unavailable(
            "schema_outdated",
            f"The database is at schema {found or 'none'}, this version needs {NEWEST}: run `agentchat migrate`.",
        )


def _upgrade(connection: Connection) -> None:
    if _revision(connection) != NEWEST:
        _alembic("upgrade", connection, "head")


def _alembic(command: str, connection: Connection, revision: str) -> None:
    # Imported by those alone who migrate: it takes longer than the rest of a start.
    from alembic import command as commands
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    getattr(commands, command)(config, revision)


def _revision(connection: Connection) -> str | None:
    if not connection.execute(text(_TABLE[connection.dialect.name])).first():
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found


async def alone(url: str, work: Callable[[Connection], _T]) -> _T:
    """One transaction, one process at a time: BEGIN IMMEDIATE on SQLite, an advisory lock on Postgres."""
    try:
        result = await (_run_on_postgres(url, work) if is_postgres(url) else _run_on_sqlite(sqlite_file(url), work))
    except FAILURES as error:
        refuse(error)
    away.passed()
    return result


async def _run_on_postgres(url: str, work: Callable[[Connection], _T]) -> _T:
    engine = create_async_engine("postgresql+asyncpg://", async_creator=postgres_creator(url), poolclass=NullPool)
    try:
        async with engine.begin() as connection:
            await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            return await connection.run_sync(work)
    finally:
        await engine.dispose()


async def _run_on_sqlite(file: Path, work: Callable[[Connection], _T]) -> _T:
    # Batch mode makes tables anew, which must not cascade; foreign keys can't be switched off in a transaction.
    engine = sqlite_engine(file, foreign_keys=False)
    attempts = Attempts()
    try:
        while True:
            try:
                with engine.begin() as connection:
                    return work(connection)
            except DBAPIError as error:
                if not await attempts.again(error):
                    raise
    finally:
        engine.dispose()
