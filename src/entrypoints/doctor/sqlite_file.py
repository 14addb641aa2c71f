"""The file of the embedded mode: writable, on a disk of this machine, with room."""

import asyncio
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

from adapters.database.engine import sqlite_file
from entrypoints.doctor.disk import network_file_system, room
from entrypoints.doctor.findings import Finding, fail, milliseconds, ok, warn
from entrypoints.settings.loading import Settings

NAME = "database"
LOCK_SECONDS = 3.0
TRIES = 5


async def usable(settings: Settings) -> Sequence[Finding]:
    return await asyncio.to_thread(looked_at, sqlite_file(settings.database_url.reveal()))


def looked_at(file: Path) -> Sequence[Finding]:
    path = Path(os.path.abspath(file))
    if not path.exists():
        mend = "start the server with these settings, or run `agentchat migrate`: both make it"
        return [fail(NAME, f"there is no {path}", mend)]
    if not (os.access(path, os.R_OK | os.W_OK) and os.access(path.parent, os.W_OK | os.X_OK)):
        mend = f"give it and its folder to the user who runs the server: chown -R USER {path.parent}"
        return [fail(NAME, f"{path} or its folder can't be written", mend)]
    try:
        took = min(locked_and_let_go(path) for _ in range(TRIES))
    except sqlite3.Error as error:
        return [fail(NAME, f"{path}: {error}", mend_of(error))]
    findings = [ok(NAME, f"SQLite, {path}: a write begins in {milliseconds(took)}")]
    if kind := network_file_system(path):
        mend = "set data_dir to a folder on a disk of this machine, or database_url to a postgresql:// address"
        findings = [warn(NAME, f"{path} is on a network file system ({kind}), where SQLite's locks fail", mend)]
    return [*findings, room("disk", path.parent)]


def locked_and_let_go(path: Path) -> float:
    """Seconds to take the lock for writing. The file is not made where there is none."""
    connection = sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, timeout=LOCK_SECONDS, isolation_level=None)
    try:
        begun = perf_counter()
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        connection.execute("ROLLBACK")
        return perf_counter() - begun
    finally:
        connection.close()


def mend_of(error: sqlite3.Error) -> str:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return "end the other program that holds the database's lock"
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return "restore the file from a backup"
    return "look after the disk: is it full, or mounted for reading only?"
