"""Which headers and variables of an MCP server it must not tell the model."""

from collections.abc import Iterator
from typing import Final

from adapters.mcp.words import DOTS
from domain.tools.masking import SHORTEST, Mask, proofs_in
from domain.tools.mcp_servers import McpAddress

_NO_SECRETS: Final = frozenset(
    ("true", "false", "none", "null", "debug", "info", "warning", "error", "production", "development", "localhost")
)
_NO_SECRET_HEADERS: Final = frozenset(("accept", "accept-language", "content-type", "user-agent"))


def mask_of(address: McpAddress) -> Mask:
    """Values as a whole. Addresses and arguments hold words that results must keep: see `Masked`."""
    return Mask(_secrets(address), DOTS)


def _secrets(address: McpAddress) -> Iterator[str]:
    headers = [value for name, value in address.headers if name.lower() not in _NO_SECRET_HEADERS]
    for value in (*headers, *(value for _, value in address.env)):
        for one in _parts(value.strip()):
            if len(one) >= SHORTEST and one.lower() not in _NO_SECRETS:
                yield one


def _parts(value: str) -> Iterator[str]:
    yield value
    scheme, _, rest = value.partition(" ")
    if scheme.lower() in ("bearer", "basic", "token", "apikey"):
        yield from proofs_in(scheme, rest)
