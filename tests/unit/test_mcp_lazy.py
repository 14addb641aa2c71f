"""Who uses no MCP server pays nothing for them."""

import subprocess
import sys


def test_the_sdk_is_not_imported_before_a_server_is_used() -> None:
    program = (
        "import sys; import entrypoints.graph.tools, adapters.mcp.connections; "
        "print({'mcp', 'mcp_types', 'starlette', 'httpx2'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
