"""How many requests go on at once, and how many in a minute."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Pace:
    """Of one process. Passages wait for their turn; questions, for which a person waits, go first and are counted."""

    def __init__(self, *, at_once: int, per_minute: int | None = None) -> None:
        self.at_once = at_once
        self._passages = asyncio.Semaphore(at_once)
        self._questions = asyncio.Semaphore(at_once)
        self._interval = 60.0 / per_minute if per_minute else 0.0
        self._next = 0.0

    @asynccontextmanager
    async def question(self) -> AsyncIterator[None]:
        async with self._questions:
            self._take()
            yield

    @asynccontextmanager
    async def passages(self) -> AsyncIterator[None]:
        async with self._passages:
            await asyncio.sleep(self._take())
            yield

    def _take(self) -> float:
        """The next place in the minute; the seconds until it comes."""
        now = asyncio.get_running_loop().time()
        place = max(self._next, now)
        self._next = place + self._interval
        return place - now
