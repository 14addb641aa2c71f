"""One at a time for each key, within this process."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from domain.errors import TooManyRequests


@dataclass(slots=True)
class _Line:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    members: int = 0


@dataclass(frozen=True, slots=True)
class Turns:
    """Lines of at most `longest` members; a line is dropped with its last member."""

    longest: int = 100
    lines: dict[str, _Line] = field(default_factory=dict)

    @asynccontextmanager
    async def take(self, key: str) -> AsyncGenerator[None, None]:
        """Raises TooManyRequests `too_many_logins` when the line is full."""
        line = self.lines.setdefault(key, _Line())
        if line.members >= self.longest:
            raise TooManyRequests("too_many_logins", "Too many requests of this kind at once.", retry_after=1)
        line.members += 1
        try:
            async with line.lock:
                yield
        finally:
            line.members -= 1
            if not line.members:
                del self.lines[key]
