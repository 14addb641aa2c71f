"""Time."""

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """The time, aware, in UTC, to the microsecond."""
        ...


class SharedClock(Protocol):
    """The clock of the database: the same for all processes, whatever their machines' clocks show."""

    async def now(self) -> datetime:
        """Raises Unavailable."""
        ...
