"""A second process on the embedded database, such as `create-admin`, takes nothing away from the server."""

import subprocess
import sys
from pathlib import Path

from adapters.database.transactions import DatabaseTransactions
from stored import user

LOOK = (
    "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); print(*c.execute('SELECT count(*) FROM users').fetchone())"
)


def count_of_another_process(file: Path) -> int:
    command = [sys.executable, "-c", f"{LOOK}; c.close()", str(file)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


async def test_another_process_that_closes_the_file_leaves_its_log(sqlite_url: str, tmp_path: Path) -> None:
    """With the locks lost, it would take itself for the last one and remove the log under the server's hands."""
    transactions = DatabaseTransactions.open(sqlite_url)
    try:
        async with transactions.begin() as tx:
            await tx.users.add(user("before"))
        await transactions.ping()
        assert count_of_another_process(tmp_path / "agentchat.db") == 1
        assert (tmp_path / "agentchat.db-wal").exists()
        async with transactions.begin() as tx:
            await tx.users.add(user("after"))
        assert count_of_another_process(tmp_path / "agentchat.db") == 2
    finally:
        await transactions.aclose()
