"""How much of anybody's time, memory and connections an MCP server may have."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class McpLimits:
    call_seconds: float = 30
    """Of one call, with the connection that it may need first. What a server says meanwhile extends nothing."""
    listing_seconds: float = 8
    """Of one listing with all its pages. Both end before those who wait do: else nothing counts a server that hangs."""
    connect_seconds: float = 10
    idle_seconds: float = 300
    remember_seconds: float = 300
    close_seconds: float = 5
    wait_seconds: float = 2
    """For a connection when all are busy."""
    connections: int = 200
    connections_of_user: int = 8
    message_bytes: int = 2 << 20
    tools: int = 500
    pages: int = 100
    result_chars: int = 36_000
    """With the frame around it, less than a model is given of any result: the frame must not be cut off."""


DESCRIPTION_CHARS: Final = 8_000
SCHEMA_CHARS: Final = 32_000
LISTING_CHARS: Final = 1_000_000
"""Of all tools of a server together."""
