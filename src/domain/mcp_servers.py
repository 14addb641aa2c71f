"""MCP servers: other programs whose tools an agent may call."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from domain.ids import McpServerId, UserId


class McpTransport(StrEnum):
    STREAMABLE_HTTP = "streamable_http"
    SSE = "sse"
    STDIO = "stdio"


@dataclass(frozen=True, slots=True)
class McpAddress:
    """How a server is reached: `url` and `headers`, for stdio `command`, `args` and `env`. Secrets are not printed."""

    transport: McpTransport
    url: str = ""
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    command: str = ""
    args: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class McpServer:
    """`tools` and `status` are what was seen when it was last asked: "unknown", "ok", or why it could not be."""

    server_id: McpServerId
    user_id: UserId
    name: str
    address: McpAddress
    created_at: datetime
    updated_at: datetime
    description: str = ""
    tools: tuple[str, ...] = ()
    status: str = "unknown"
