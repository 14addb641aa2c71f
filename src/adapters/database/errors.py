"""The database's errors in the domain's words."""

import sqlite3
from functools import cache
from typing import Final

from sqlalchemy import Table, UniqueConstraint
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from adapters.database.tables import metadata
from domain.errors import Conflict, DomainError, InvalidValue, Unauthenticated, Unavailable

RETRY_SECONDS: Final = 1.0

FAILURES: Final = (SQLAlchemyError, OSError, TimeoutError, UnicodeEncodeError)
"""What a statement, a connect or a commit may raise."""

_CONFLICTS: Final[dict[str, tuple[str, str, str | None]]] = {
    "users_name": ("user_name_taken", "This user name is taken: choose another.", "user_name"),
    "agents_name": ("agent_name_taken", "You have an agent of this name: choose another.", "name"),
    "dialogs_pk": ("dialog_exists", "You have a dialog of this id: choose another.", "dialog_id"),
    "runs_open": ("dialog_busy", "An answer is being written in this dialog: wait for its end or stop it.", None),
    "messages_order": ("dialog_busy", "An answer is being written in this dialog: wait for its end or stop it.", None),
    "knowledge_bases_name": (
        "knowledge_name_taken",
        "You have a knowledge base of this name: choose another.",
        "knowledge_name",
    ),
    "runs_key": ("idempotency_key_taken", "A request with this Idempotency-Key is under way.", None),
}

_SQLITE_OUTAGES: Final = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
    }
)

_POSTGRES_OUTAGES: Final = ("08", "40", "53", "57", "58", "55P03", "25P03", "28", "3D000")
"""Connection, rollback (deadlock), resources, operator, system, lock, idle, authorization, no such database."""

_NOT_TEXT: Final = "22021"
_DISK_FULL: Final = "53100"
_FULL: Final = "The database's disk is full: room must be made on it."


class BrokenReference(Unauthenticated):
    """A write that refers to a row that is gone: the account, unless `constraint` names another reference."""

    def __init__(self, constraint: str | None) -> None:
        super().__init__("account_gone", "The account of this token no longer exists.")
        self.constraint = constraint


def account_gone() -> Unauthenticated:
    return Unauthenticated("account_gone", "The account of this token no longer exists.")


def unavailable(reason: str = "The database can't be reached: try again soon.") -> Unavailable:
    return Unavailable("database_unavailable", reason, retry_after=RETRY_SECONDS)


def translate(error: Exception) -> DomainError | None:
    """The domain's error for the database's; None for what is a mistake of ours."""
    if isinstance(error, IntegrityError):
        return _integrity(error)
    if isinstance(error, DBAPIError):
        return _operational(error)
    if isinstance(error, UnicodeEncodeError):
        return _not_text()
    if isinstance(error, PoolTimeout | OSError | TimeoutError):
        return unavailable()
    return None


def _integrity(error: IntegrityError) -> DomainError | None:
    cause = error.driver_exception
    if isinstance(cause, sqlite3.IntegrityError):
        if cause.sqlite_errorcode == sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
            return BrokenReference(None)
        name = _all_sqlite_names().get(str(cause).removeprefix("UNIQUE constraint failed: "))
    else:
        name = getattr(cause, "constraint_name", None)
        if getattr(cause, "sqlstate", None) == "23503":
            return BrokenReference(name)
    if name not in _CONFLICTS:
        return None
    code, message, field = _CONFLICTS[name]
    return Conflict(code, message, field=field)


def _operational(error: DBAPIError) -> DomainError | None:
    cause = error.driver_exception
    if isinstance(cause, sqlite3.Error):
        # Extended codes carry the primary one in their low byte.
        code = (getattr(cause, "sqlite_errorcode", None) or 0) & 0xFF
        if code == sqlite3.SQLITE_FULL:
            return unavailable(_FULL)
        return unavailable() if error.connection_invalidated or code in _SQLITE_OUTAGES else None
    state = getattr(cause, "sqlstate", None)
    if state == _NOT_TEXT or isinstance(getattr(cause, "__cause__", None), UnicodeEncodeError):
        return _not_text()
    if state == _DISK_FULL:
        return unavailable(_FULL)
    if error.connection_invalidated or (state or "").startswith(_POSTGRES_OUTAGES) or is_stale_plan(error):
        return unavailable()
    return unavailable() if isinstance(cause, OSError | TimeoutError) else None


def is_locked(error: DBAPIError) -> bool:
    """Whether another process holds SQLite's lock."""
    code = getattr(error.driver_exception, "sqlite_errorcode", 0)
    return code & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def was_not_sent(error: DBAPIError) -> bool:
    """Whether asyncpg found the connection closed, or about to be, before it sent anything: it died unused."""
    name, words = type(error.orig).__name__, str(error.orig)
    return (name == "InterfaceError" and "connection is closed" in words) or (
        name == "InternalClientError" and words.startswith("cannot switch to state")
    )


def is_deadlock(error: DBAPIError) -> bool:
    """Whether Postgres ended this statement so that another one, which it waited for in a circle, could go on."""
    return getattr(error.driver_exception, "sqlstate", None) == "40P01"


def is_stale_plan(error: DBAPIError) -> bool:
    """Whether a prepared statement was overtaken by a migration: the next try prepares it anew."""
    return type(error.orig).__name__ == "InvalidCachedStatementError"


def _not_text() -> InvalidValue:
    return InvalidValue("text", "must not contain NUL or unpaired surrogates")


def _sqlite_names(table: Table) -> dict[str, str]:
    """SQLite names the columns of a broken constraint, not the constraint."""
    unique = [(one.name, one.columns) for one in table.constraints if isinstance(one, UniqueConstraint)]
    unique += [(one.name, one.columns) for one in table.indexes if one.unique]
    unique.append((table.primary_key.name, table.primary_key.columns))
    return {", ".join(f"{table.name}.{column.name}" for column in columns): str(name) for name, columns in unique}


@cache
def _all_sqlite_names() -> dict[str, str]:
    """Asked for when the first constraint breaks: then every module of tables is loaded, in whatever order."""
    return {columns: name for table in metadata.tables.values() for columns, name in _sqlite_names(table).items()}
