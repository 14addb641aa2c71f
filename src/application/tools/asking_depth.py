"""How deep the present work stands in a chain of agents that ask agents, here or over MCP.

Whoever calls an MCP server sends the number along: an agent that has this very server as its MCP server could ask
itself for ever.
"""

from contextvars import ContextVar
from typing import Final

DEEPEST: Final = 3
META_KEY: Final = "agentchat/depth"
"""Of the number in a call's `_meta`."""

asking_depth: ContextVar[int] = ContextVar("asking_depth", default=0)
"""0 where a person asked. A run takes over what held where it was begun."""


def depth_of(sent: object) -> int:
    """What a caller says of itself: a number that is none is no depth."""
    return sent if isinstance(sent, int) and not isinstance(sent, bool) and sent > 0 else 0
