"""For whom the present work is done: what is scarce is shared out between people."""

from contextvars import ContextVar

from domain.ids import UserId

acting_for: ContextVar[UserId | None] = ContextVar("acting_for", default=None)
"""None for the server's own work. A run takes over what held where it was begun."""
