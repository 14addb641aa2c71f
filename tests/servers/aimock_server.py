"""aimock, a server that speaks OpenAI's and Anthropic's protocols: installed on first use, one process a test run."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from servers.node_packages import how_to_get_it, installed

HERE = Path(__file__).parent
COMMAND = "@copilotkit/aimock/dist/cli.js"
OLDEST_NODE = 20


@contextmanager
def aimock() -> Iterator[str]:
    """The address of a running server."""
    node = installed(HERE, COMMAND, OLDEST_NODE)
    fixtures = HERE / "fixtures/chat.json"
    command = [*node, str(HERE / "node_modules" / COMMAND), "-p", "0", "-f", str(fixtures), "-c", "4", "--strict"]
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
    raise RuntimeError(f"aimock did not start: {''.join(said)}\n{how_to_get_it(HERE, OLDEST_NODE)}")
