"""The schema's versions. Every function may be called inside a running event loop, by several processes at once."""

from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import NullPool, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from adapters.database.engine import is_postgres, postgres_creator, sqlite_engine, sqlite_file
from adapters.database.errors import FAILURES
from adapters.database.session import Attempts, refuse
from domain.errors import Unavailable

_LOCK: Final = 7_346_210_957_441
"""Of our own choosing: whoever holds this advisory lock of Postgres migrates."""

_T = TypeVar("_T")


async def migrate(url: str) -> None:
    """Bring the database to the newest schema; a SQLite file is made where there is none."""
    await _run(url, lambda connection: command.upgrade(_config(connection), "head"))


async def downgrade(url: str, revision: str) -> None:
    """Back to a revision; `base` removes every table."""
    await _run(url, lambda connection: command.downgrade(_config(connection), revision))


async def current_revision(url: str) -> str | None:
    """None for a database without our tables."""
    return await _run(url, _revision)


async def is_current(url: str) -> bool:
    return await current_revision(url) == newest_revision()


async def require_current(url: str) -> None:
    """Raises Unavailable `schema_outdated`, which says the command, or `database_unavailable`."""
    found = await current_revision(url)
    if found != newest_revision():
        raise Unavailable(
            "schema_outdated",
            f"The database is at schema {found or 'none'}, this version needs {newest_revision()}: "
            "run `agentchat migrate`.",
        )


def newest_revision() -> str:
    return ScriptDirectory.from_config(_config()).get_current_head() or "base"


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


async def _run(url: str, work: Callable[[Connection], _T]) -> _T:
    """One transaction, one process at a time: BEGIN IMMEDIATE on SQLite, an advisory lock on Postgres."""
    try:
        return await (_run_on_postgres(url, work) if is_postgres(url) else _run_on_sqlite(sqlite_file(url), work))
    except FAILURES as error:
        refuse(error)


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
