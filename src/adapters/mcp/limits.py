"""How much of anybody's time, memory and connections an MCP server may have."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class McpLimits:
    call_seconds: float = 30
    """Of one call, and of one listing with all its pages. What a server says meanwhile extends nothing."""
    connect_seconds: float = 10
    idle_seconds: float = 300
    remember_seconds: float = 300
    close_seconds: float = 5
    wait_seconds: float = 2
    """For a connection when all are busy."""
    connections: int = 200
    connections_of_user: int = 8
    message_bytes: int = 4 << 20
    tools: int = 500
    pages: int = 100
    result_chars: int = 200_000


DESCRIPTION_CHARS: Final = 8_000
SCHEMA_CHARS: Final = 32_000
LISTING_CHARS: Final = 1_000_000
"""Of all tools of a server together."""
