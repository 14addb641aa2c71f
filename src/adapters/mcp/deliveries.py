"""What is known of a request on its way to a server: only one that never left may be sent again."""

from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

from application.ports.mcp_connections import McpUnavailable


@dataclass(slots=True)
class Delivery:
    """`until` is when nobody waits for the answer any more, by the loop's clock."""

    until: float
    handed_over: bool = False


DELIVERY: Final[ContextVar[Delivery | None]] = ContextVar("mcp_delivery", default=None)
"""The SDK runs each request's exchange in the context of whoever sent it."""


class Undelivered(McpUnavailable):
    """The request certainly did not reach the server."""


class Cut(McpUnavailable):
    """The connection ended before the answer came: the request may have been carried out or not."""
